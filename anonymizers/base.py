"""What an anonymizer is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

import numpy as np

from refbench.plugin import Plugin
from refbench.types import AnonymizedHead, Head

Need = Literal["registration", "brain", "average"]
"""What the harness computes once, for all anonymizers that ask for it, and hands over as the head's field of that name.

`registration` and `brain` cost seconds per head; `average` needs all training subjects.
"""


class Anonymizer(Plugin, ABC):
    """Takes a head, returns the head with its face hidden; deterministic for a given generator state."""

    def needs(self) -> frozenset[Need]:
        """Which fields of a head it reads; with these parameters. Without the harness they may be None."""
        return frozenset()

    @abstractmethod
    def anonymize(self, head: Head, rng: np.random.Generator) -> Head | AnonymizedHead:
        """Return the released head on the same grid: same shape and affine, float32, finite.

        A plain `Head` means it worked; an `AnonymizedHead` also says what was changed and how it ended. The input is
        never modified. Raise any exception when this head cannot be anonymized: the subject is recorded as failed.
        """
