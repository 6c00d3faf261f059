"""What an anonymizer is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from refbench.plugin import Plugin
from refbench.types import AnonymizedHead, Head


class Anonymizer(Plugin, ABC):
    """Takes a head, returns the head with its face hidden; deterministic for a given generator state.

    `needs_registration = True` tells the harness to compute the face template's registration once per head and to
    hand it over as `head.registration`.
    """

    needs_registration: ClassVar[bool] = False

    @abstractmethod
    def anonymize(self, head: Head, rng: np.random.Generator) -> Head | AnonymizedHead:
        """Return the released head on the same grid: same shape and affine, float32, finite.

        A plain `Head` means it worked; an `AnonymizedHead` also says what was changed and how it ended. The input is
        never modified. Raise any exception when this head cannot be anonymized: the subject is recorded as failed.
        """
