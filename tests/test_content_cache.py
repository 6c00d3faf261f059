"""Contents decide what is recomputed: not where files lie, what they are called, or when they were touched."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import small_heads
import yaml
from conftest import Workplace

from refbench.explain import explain
from refbench.plan import Plan, build_plan
from refbench.store import Store
from refbench.suite import load_suite

OWN = ("head", "face", "skin", "anonymize", "check", "slice")
"""Jobs of one scan."""


@pytest.fixture(scope="module")
def once_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with five people's files, and a store that a suite on them was run with."""
    workplace = Workplace(tmp_path_factory.mktemp("once_run"))
    small_heads.write_heads(workplace.folder / "heads", 5)
    run(workplace)
    return workplace.folder


@pytest.fixture
def workplace(once_run: Path, tmp_path: Path) -> Workplace:
    """A copy that a test may change."""
    return Workplace(Path(shutil.copytree(once_run, tmp_path / "copy")))


@pytest.fixture
def heads(workplace: Workplace) -> list[Path]:
    return sorted((workplace.folder / "heads").iterdir())


def suite(workplace: Workplace, **dataset: object) -> Path:
    return workplace.suite(yaml.safe_dump(small_heads.suite(**dataset)))


def run(workplace: Workplace, **dataset: object) -> None:
    result = workplace.refbench("run", suite(workplace, **dataset))
    assert result.returncode == 0, result.stderr + result.stdout


def store_of(workplace: Workplace) -> Store:
    return Store(workplace.folder / "store")


def results(workplace: Workplace) -> dict[str, int]:
    """Keys of all finished jobs, each with the time at which it was made."""
    objects = store_of(workplace).root.glob("objects/*/*/status.json")
    return {path.parent.name: path.stat().st_mtime_ns for path in objects}


def plan(workplace: Workplace, **dataset: object) -> Plan:
    return build_plan(load_suite(str(suite(workplace, **dataset))), store_of(workplace))


def waiting(workplace: Workplace, **dataset: object) -> set[str]:
    """Labels of the jobs that `refbench plan` says a run would do."""
    reasons = explain(plan(workplace, **dataset), store_of(workplace))
    return {reason.job.label for reason in reasons if reason.state == "run"}


def change_one_voxel(file: Path) -> None:
    """In place, by one in one voxel: size and all other bytes stay."""
    content = bytearray(file.read_bytes())
    content[-2 * 700] ^= 1
    file.write_bytes(content)


def test_moved_renamed_or_touched_nothing_is_recomputed(workplace: Workplace, heads: list[Path]) -> None:
    before = results(workplace)
    assert len(before) == len({job.key for job in plan(workplace).jobs()})
    for file in heads:
        os.utime(file, (1, 1))
    assert waiting(workplace) == set()

    elsewhere = workplace.folder / "another disk" / "moved"
    elsewhere.parent.mkdir()
    heads[0].parent.rename(elsewhere)
    assert waiting(workplace, path=str(elsewhere)) == set()
    for file in [*elsewhere.iterdir()]:
        shutil.copy(file, elsewhere / f"scan_{file.stem}_T1.nii")
        file.unlink()
    assert waiting(workplace, path=str(elsewhere)) == set()
    run(workplace, path=str(elsewhere))
    assert results(workplace) == before


def hanging_on(workplace: Workplace, subject: str, part: str) -> set[str]:
    """Jobs of one person, and those that learn from them or measure them."""
    labels = {job.label for job in plan(workplace).jobs()}
    own = {label for label in labels if label.split()[0] in OWN and label.split()[1] == subject}
    assert len(own) == len(OWN)
    later = {label for label in labels if label.split()[0] in ("train", "reconstruct", "score")}
    if part == "test":
        return own | {label for label in later if not label.startswith("train")}
    return own | {label for label in later if not label.endswith("released")}


@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_one_voxel_recomputes_its_subject_and_what_hangs_on_it(
    workplace: Workplace, heads: list[Path], part: str
) -> None:
    before, parts = results(workplace), plan(workplace).cohort.split.parts
    subject = next(subject for subject, its in parts.items() if its == part)
    (file,) = (file for file in heads if file.stem[1:] == subject)
    expected = hanging_on(workplace, subject, part)
    change_one_voxel(file)
    assert waiting(workplace) == expected

    if part == "train":
        run(workplace)
        after = results(workplace)
        assert {key: made for key, made in after.items() if key in before} == before, "nothing old was made again"
        assert {job.label for job in plan(workplace).jobs() if job.key not in before} == expected
        assert len(after) == len(before) + len(expected)
    change_one_voxel(file)  # back to what it was
    assert waiting(workplace) == set()


def test_a_voxel_that_changes_under_the_old_time_is_seen(workplace: Workplace, heads: list[Path]) -> None:
    assert waiting(workplace) == set()
    facts = heads[0].stat()
    change_one_voxel(heads[0])
    os.utime(heads[0], ns=(facts.st_atime_ns, facts.st_mtime_ns))  # as `cp -p` and `rsync -t` do
    assert heads[0].stat().st_size == facts.st_size
    assert f"head {heads[0].stem[1:]}" in waiting(workplace)


def test_a_file_that_is_compressed_is_another_file(workplace: Workplace, heads: list[Path]) -> None:
    """Only reading tells that it holds the same head; nobody else's is read."""
    image = nib.load(heads[0])
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), image.affine), heads[0].with_suffix(".nii.gz"))
    heads[0].unlink()
    read_again = {label for label in waiting(workplace) if label.startswith("head ")}
    assert read_again == {f"head {heads[0].stem[1:]}"}


def test_a_table_that_says_the_same_and_more_recomputes_nothing(workplace: Workplace, heads: list[Path]) -> None:
    rows = [f"{file.stem[1:]},{file.stem[0]},{30 + n}" for n, file in enumerate(heads)]
    (workplace.folder / "who.csv").write_text("\n".join(["subject,site,age", *rows]))
    assert waiting(workplace, csv="who.csv") == set()


def test_a_new_person_who_trains_costs_their_own_jobs_and_the_trainings(
    workplace: Workplace, heads: list[Path]
) -> None:
    parts = plan(workplace).cohort.split.parts
    rows = [*(f"{who},{part}" for who, part in parts.items()), "77,train"]
    (workplace.folder / "split.csv").write_text("\n".join(["subject,part", *rows]))
    small_heads.write(heads[0].with_name("A77.nii"), small_heads.small_head(77))
    divided = small_heads.suite() | {"split": {"method": "csv", "csv": "split.csv"}}
    path = workplace.suite(yaml.safe_dump(divided))
    store = store_of(workplace)
    laid_out = build_plan(load_suite(str(path)), store)
    new = {job.label for job in laid_out.jobs() if not store.has(job.key)}
    cell = "smear × offset"
    assert {label for label in new if label.split()[1] != "77"} == {
        f"train {cell}", f"reconstruct {cell}", f"score correlation {cell}"
    }  # fmt: skip
    assert len(new) == len(OWN) + 3


def test_a_file_that_changes_after_it_was_planned_is_no_result(workplace: Workplace, heads: list[Path]) -> None:
    """Else its new contents would stand under the key of the old ones."""
    from refbench.errors import DataError
    from refbench.worker import run_job

    small_heads.write(heads[0], small_heads.small_head(88))
    head = next(job for job in plan(workplace).jobs() if job.label == f"head {heads[0].stem[1:]}")
    small_heads.write(heads[0], small_heads.small_head(99))
    plugins = load_suite(str(suite(workplace))).plugin_files
    scratch = workplace.folder / "scratch"
    scratch.mkdir()
    with pytest.raises(DataError, match=rf"{heads[0].name}: changed while the run went on"):
        run_job(head, store_of(workplace), scratch, plugins, "cpu", lambda done, total, losses: None)
