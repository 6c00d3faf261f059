"""The same person under two names, by face: what the job `twins` found, in words.

Copies of a file are found before anything runs (`refbench.leaks`); a second visit is another file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Twins:
    """Test people whose face is that of somebody else of the cohort.

    Attributes:
        compared: whether one person could be told from two.
        trained: (test subject, training subject) of each pair.
        tested: the same of two test subjects.
        unplaced: test people of whom no face could be placed.
    """

    compared: bool
    trained: tuple[tuple[str, str], ...]
    tested: tuple[tuple[str, str], ...]
    unplaced: int

    def notes(self) -> list[str]:
        """What the reader of the results should know. No names: tables are shared."""
        said = []
        for pairs, other in ((self.trained, "a training person's"), (self.tested, "another test person's")):
            if people := len({one for one, _ in pairs}):
                said.append(
                    f"{people} test subject(s) with a face so like {other} that both may be one person under two "
                    "names (the run's split.csv says who). Look at them, and give them one subject if they are."
                )
        if not self.compared:
            said.append("not looked for: one person under two names, as too few training faces can be told apart")
        elif self.unplaced:
            said.append(
                f"not looked for under other names: {self.unplaced} test subject(s) whose face could not be placed"
            )
        return said

    def remarks(self) -> dict[str, list[str]]:
        """By subject, for the run's own split.csv: of whom both may be one person."""
        found: dict[str, list[str]] = {}
        for one, other in (*self.trained, *self.tested):
            for subject, twin in ((one, other), (other, one)):
                found.setdefault(subject, []).append(f"by face perhaps the same person as {twin}")
        return found


def read_twins(folder: Path, train: Sequence[str], test: Sequence[str]) -> Twins:
    """What the job `twins` left in its folder of the store; the subjects are in the order of its `train` and `test`."""
    found = json.loads((folder / "twins.json").read_text())
    named = {"train": train, "test": test}
    pairs = [(part, (test[one], named[part][other])) for one, part, other, _ in found["pairs"]]
    trained, tested = (tuple(pair for part, pair in pairs if part == which) for which in ("train", "test"))
    return Twins(found["bound"] is not None, trained, tested, found["unplaced"])
