"""`refbench.testing` names each fault of an anonymizer, and the command line tells by its exit code."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import Workplace

from refbench.anonymizers.base import Anonymizer
from refbench.testing import assert_conforms
from refbench.testing_anonymizers import check_anonymizer, phantom
from refbench.types import AnonymizedHead, Head

RUNS = "runs, and gives a finite float32 head on the same grid"
INPUT = "leaves its input alone"
DETERMINISTIC = "gives the same for the same generator state"
MASK = "tells the truth about what it changed"
BRAIN = "keeps the brain"
ALONE = "works without what the harness computes beforehand"
THICK = "works on thick slices, a background that is not zero, and negative intensities"

FRONT = np.s_[:, -8:]


class Good(Anonymizer):
    """Random values in the foremost voxels."""

    def anonymize(self, head: Head, rng: np.random.Generator) -> Head | AnonymizedHead:
        voxels = np.array(head.voxels)
        voxels[FRONT] = rng.normal(head.voxels.mean(), 1, voxels[FRONT].shape)
        return head.with_voxels(voxels)


class WritesIntoItsInput(Good):
    def anonymize(self, head: Head, rng: np.random.Generator) -> Head | AnonymizedHead:
        if head.voxels.flags.writeable:
            head.voxels[FRONT] = 0
            return head
        return super().anonymize(head, rng)


class WritesWithoutAsking(Good):
    def anonymize(self, head: Head, rng: np.random.Generator) -> Head | AnonymizedHead:
        head.voxels[FRONT] = 0
        return head


class RandomByItself(Good):
    def anonymize(self, head: Head, rng: np.random.Generator) -> Head | AnonymizedHead:
        return super().anonymize(head, np.random.default_rng())


class Boasts(Good):
    def anonymize(self, head: Head, rng: np.random.Generator) -> Head | AnonymizedHead:
        released = super().anonymize(head, rng)
        assert isinstance(released, Head)
        return AnonymizedHead(released, np.ones(head.voxels.shape, dtype=bool))


class CutsTheBrain(Good):
    def anonymize(self, head: Head, rng: np.random.Generator) -> Head | AnonymizedHead:
        return head.with_voxels(np.zeros_like(head.voxels))


class RegisteredOnly(Good):
    def anonymize(self, head: Head, rng: np.random.Generator) -> Head | AnonymizedHead:
        assert head.registration is not None, "no registration"
        return super().anonymize(head, rng)


class CubesOnly(Good):
    def anonymize(self, head: Head, rng: np.random.Generator) -> Head | AnonymizedHead:
        if head.voxel_mm.max() > 4:
            raise ValueError("slices too thick")
        return super().anonymize(head, rng)


class PositiveOnly(Good):
    def anonymize(self, head: Head, rng: np.random.Generator) -> Head | AnonymizedHead:
        with np.errstate(invalid="ignore"):
            return head.with_voxels(np.sqrt(head.voxels))


class NotFinite(Good):
    def anonymize(self, head: Head, rng: np.random.Generator) -> Head | AnonymizedHead:
        return head.with_voxels(np.full_like(head.voxels, np.nan))


class AnotherGrid(Good):
    def anonymize(self, head: Head, rng: np.random.Generator) -> Head | AnonymizedHead:
        return Head(head.voxels, head.affine + np.eye(4))


class WrongType(Good):
    def anonymize(self, head: Head, rng: np.random.Generator) -> Head | AnonymizedHead:
        return head.voxels  # type: ignore[return-value]


PLUGIN_FILE = """
import numpy as np

from refbench.anonymizers.base import Anonymizer


class Keeps(Anonymizer):
    def anonymize(self, head, rng):
        return head


class Empties(Anonymizer):
    def anonymize(self, head, rng):
        return head.with_voxels(np.zeros_like(head.voxels))
"""


def broken_rules(anonymizer: Anonymizer) -> dict[str, str]:
    return {check.rule: check.problem for check in check_anonymizer(anonymizer) if not check.passed}


@pytest.fixture(scope="module", autouse=True)
def head() -> Head:
    """The phantom, which is registered once for all tests here."""
    return phantom()


def test_a_good_one_keeps_every_rule() -> None:
    checks = list(check_anonymizer(Good()))
    assert [check.rule for check in checks] == [RUNS, INPUT, DETERMINISTIC, MASK, BRAIN, ALONE, THICK]
    assert all(check.passed for check in checks)
    assert_conforms(Good())


@pytest.mark.parametrize(
    ("faulty", "rule", "said"),
    [
        (WritesIntoItsInput, INPUT, "copy before writing"),
        (RandomByItself, DETERMINISTIC, "draw random numbers from `rng` alone"),
        (Boasts, MASK, "use AnonymizedHead.compare"),
        (CutsTheBrain, BRAIN, "brain voxels changed"),
        (RegisteredOnly, ALONE, "no registration"),
        (CubesOnly, THICK, "ValueError: slices too thick"),
    ],
)
def test_each_fault_breaks_its_own_rule_and_no_other(faulty: type[Anonymizer], rule: str, said: str) -> None:
    broken = broken_rules(faulty())
    assert list(broken) == [rule]
    assert said in broken[rule]


def test_roots_of_negative_intensities_are_found_where_there_are_some() -> None:
    assert "NaN or infinite" in broken_rules(PositiveOnly())[THICK]


@pytest.mark.parametrize(
    ("faulty", "said"),
    [
        (NotFinite, "NaN or infinite"),
        (AnotherGrid, "another affine"),
        (WrongType, "InvalidOutput"),
        (WritesWithoutAsking, "read-only"),
    ],
)
def test_after_a_release_that_is_none_nothing_else_is_tried(faulty: type[Anonymizer], said: str) -> None:
    checks = list(check_anonymizer(faulty()))
    assert [check.rule for check in checks] == [RUNS]
    assert said in checks[0].problem


def test_in_a_test_of_ones_own_every_broken_rule_is_named() -> None:
    with pytest.raises(AssertionError, match=f"{BRAIN}: .* brain voxels changed"):
        assert_conforms(CutsTheBrain())


def test_the_head_that_is_tried_stays_as_it_was(head: Head) -> None:
    before = head.voxels.copy()
    broken_rules(WritesIntoItsInput())
    broken_rules(CutsTheBrain())
    np.testing.assert_array_equal(head.voxels, before)
    assert not head.voxels.flags.writeable


def test_what_does_not_exist_is_a_mistake_in_the_command(workplace: Workplace) -> None:
    unknown = workplace.refbench("check", "anonymizer", "blurr")
    assert unknown.returncode == 2
    assert "blurr" in unknown.stderr
    assert "Traceback" not in unknown.stderr
    kind = workplace.refbench("check", "metrics", "ssim")
    assert kind.returncode == 2
    assert "did you mean 'metric'?" in kind.stderr


@pytest.mark.slow
def test_the_exit_code_tells_whether_a_plugin_conforms(workplace: Workplace) -> None:
    file = workplace.folder / "mine.py"
    file.write_text(PLUGIN_FILE)
    good = workplace.refbench("check", "anonymizer", "keeps", "--plugin", file)
    assert good.returncode == 0, good.stderr
    assert good.stdout.count("✓") == 7
    assert "keeps them all. Its face on the phantom: face left" in good.stdout
    bad = workplace.refbench("check", "anonymizer", "empties", "--plugin", file)
    assert bad.returncode == 3
    assert f"✗ {BRAIN}" in bad.stdout
    assert "breaks 1 rule(s)" in bad.stderr
