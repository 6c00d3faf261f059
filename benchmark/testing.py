"""Does a plug-in keep its contract?

Checks for authors of plug-ins of every kind: `refbench check KIND NAME`, or in pytest

    from refbench.testing import assert_conforms

    def test_mine() -> None:
        assert_conforms(MyAnonymizer(strength_mm=4))
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np

from refbench.anonymizers.base import Anonymizer
from refbench.attackers.base import Attacker
from refbench.datasets.base import Dataset
from refbench.errors import PluginError
from refbench.metrics.base import Metric
from refbench.metrics.head_metrics.base import HeadMetric
from refbench.metrics.recognizers.base import Recognizer
from refbench.plugin import Plugin

Made = TypeVar("Made")
Trained = TypeVar("Trained", bound=Plugin)

FORMATS = {".npz", ".safetensors", ".json"}
"""What a model is kept in."""


@dataclass(frozen=True)
class Check:
    """One rule of the contract.

    Attributes:
        problem: what is wrong, empty if nothing.
        skipped: why the rule was not tried, empty if it was.
    """

    rule: str
    problem: str = ""
    skipped: str = ""

    @property
    def passed(self) -> bool:
        """Whether the rule is kept, or does not apply."""
        return not self.problem


def check(plugin: Plugin) -> Iterator[Check]:
    """Try a plug-in, rule by rule.

    Yields:
        one check per rule, as soon as it is known. When the first fails the others are not tried.

    Raises:
        PluginError: it is of another kind, for which there are no checks.
    """
    if isinstance(plugin, Anonymizer):
        from refbench.testing_anonymizers import check_anonymizer

        return check_anonymizer(plugin)
    if isinstance(plugin, Attacker):
        from refbench.testing_attackers import check_attacker

        return check_attacker(plugin)
    if isinstance(plugin, Metric):
        from refbench.testing_metrics import check_metric

        return check_metric(plugin)
    if isinstance(plugin, Dataset):
        from refbench.testing_datasets import check_dataset

        return check_dataset(plugin)
    if isinstance(plugin, Recognizer):
        from refbench.testing_recognizers import check_recognizer

        return check_recognizer(plugin)
    if isinstance(plugin, HeadMetric):
        from refbench.testing_head_metrics import check_head_metric

        return check_head_metric(plugin)
    raise PluginError(f"{type(plugin).__name__} is of no kind that suites name: there are no checks")


def remark(plugin: Plugin) -> str:
    """What there is to say of one that keeps every rule, in a sentence; may be empty."""
    if isinstance(plugin, Anonymizer):
        from refbench.testing_anonymizers import hidden

        return f"Its face on the phantom: {hidden(plugin)}"
    if isinstance(plugin, Attacker):
        from refbench.testing_attackers import shortening

        return shortening(plugin)
    if isinstance(plugin, Metric):
        from refbench.testing_metrics import scale

        return scale(plugin)
    if isinstance(plugin, Dataset):
        from refbench.testing_datasets import cohort

        return cohort(plugin)
    if isinstance(plugin, Recognizer):
        from refbench.testing_recognizers import recognised

        return recognised(plugin)
    if isinstance(plugin, HeadMetric):
        from refbench.testing_head_metrics import measured

        return measured(plugin)
    return ""


def assert_conforms(plugin: Plugin) -> None:
    """Raise an AssertionError that names every rule which this plug-in breaks."""
    broken = [result for result in check(plugin) if not result.passed]
    assert not broken, "\n".join(f"{result.rule}: {result.problem}" for result in broken)


@dataclass(frozen=True)
class Attempt(Generic[Made]):
    """What a plug-in made, or why it did not. `made` is None where there is a problem."""

    made: Made | None
    problem: str = ""

    @classmethod
    def at(cls, work: Callable[[], Made]) -> Attempt[Made]:
        """Let a plug-in work; whatever its author's code raises is the finding."""
        try:
            return cls(work())
        except Exception as error:
            return cls(None, f"{type(error).__name__}: {error}")


def found(problem: Callable[[], str]) -> str:
    """What is wrong according to a check, or what was raised on the way there."""
    attempt = Attempt.at(problem)
    return attempt.problem or attempt.made or ""


def lasting(plugin: Trained, steps: int) -> Trained:
    """A copy that trains for so many steps, whatever the clock says; the same if it does not count steps."""
    fields = type(plugin).model_fields
    if "steps" not in fields:
        return plugin
    clock = {"budget_minutes": None} if "budget_minutes" in fields else {}
    return plugin.model_copy(update={"steps": steps, **clock})


def other_formats(folder: Path) -> str:
    """What is wrong with the files that a model was kept in; empty if nothing.

    Raises:
        ValueError: an array can only be kept by pickle.
    """
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    if other := [file.name for file in files if file.suffix not in FORMATS]:
        return f"it wrote {', '.join(other)}; a model is kept in {', '.join(sorted(FORMATS))}"
    for file in files:
        if file.suffix == ".npz":
            with np.load(file, allow_pickle=False) as arrays:
                dict(arrays)
    return ""
