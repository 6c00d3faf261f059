"""What a dataset is: a list of scans that can be read before any voxel is, and a way to load one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from refbench.plugin import Plugin
from refbench.types import Head


@dataclass(frozen=True)
class Scan:
    """One acquisition, known before its voxels are read.

    Attributes:
        subject: the person; a split never separates the scans of one subject.
        site: the scanner's place. session: the visit.
        files: what is read, absolute paths. Their contents, never their paths, go into the cache key.
        recipe: whatever else decides the voxels, as JSON values (a phantom's numbers, a deformation's seed).
        facts: age in years, sex and the like; for tables only.
        problem: why it cannot be used, where that is known before it is read: two files of one visit, no site. It
            costs its subject alone, as a damaged file does. Empty where all is well.
        dataset: which of a suite's data sets it is of, by name; the suite says so, not the data set.
    """

    subject: str
    site: str
    session: str = "1"
    files: tuple[Path, ...] = ()
    recipe: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, str | float] = field(default_factory=dict)
    problem: str = ""
    dataset: str = ""

    @property
    def who(self) -> str:
        """What the labels of jobs call it."""
        return scan_name(self.subject, self.session)


def scan_name(subject: str, session: str) -> str:
    """A person's only, or first, visit goes by the person's name."""
    return subject if session == "1" else f"{subject} session {session}"


class Dataset(Plugin, ABC):
    """A cohort of heads."""

    real_people: ClassVar[bool] = True
    """Whether pictures of these heads show somebody: then they are drawn only when asked for."""

    def label_names(self) -> frozenset[str]:
        """The labels that every head of this dataset carries, without opening a volume.

        `face` is scored, and its skin checked, in place of the face template's region; `brain` must come through an
        anonymization whole, in place of deepbet's estimate.
        """
        return frozenset()

    @abstractmethod
    def scans(self) -> list[Scan]:
        """All scans in a stable order, without opening a volume.

        Raises:
            DataError: the folder is missing or holds nothing that can be used; the message names it.
        """

    @abstractmethod
    def load(self, scan: Scan) -> Head:
        """Read or make one head: RAS+ order, float32, finite, with truth labels where the dataset has them.

        Depends on nothing but `scan.files` and `scan.recipe`: parameters of the dataset that decide voxels must be
        in the recipe, so that a larger cohort, or a moved folder, recomputes nothing.

        Raises:
            DataError: this file cannot be a head; the message names it.
        """
