"""The control above all: nothing is hidden, so every attacker and metric must reach its ceiling."""

from __future__ import annotations

import numpy as np

from refbench.anonymizers.base import Anonymizer
from refbench.types import Head


class Identity(Anonymizer):
    """Control: releases the head as it is."""

    def anonymize(self, head: Head, rng: np.random.Generator) -> Head:
        """Return the head itself."""
        return head
