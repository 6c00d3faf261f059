import csv
import gzip
import json
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from refbench import anonymize_files as batch
from refbench import anonymize_head
from refbench.anonymize_files import SUMMARY_NAME, Summary, anonymize_files
from refbench.anonymize_head import HeadRecord, Method, anonymize_file
from refbench.anonymizers.base import Anonymizer
from refbench.anonymizers.blur import Blur
from refbench.anonymizers.template import template_head
from refbench.datasets.bids import Bids
from refbench.datasets.nifti import read_head
from refbench.errors import DataError, PluginError, RefbenchError, Unavailable
from refbench.nifti_tree import head_files
from refbench.plugin import param
from refbench.suite import Chosen
from refbench.types import AnonymizedHead, Head

SHAPE = (12, 14, 10)


class Shade(Anonymizer):
    """Sets the front of the head to random values, and misbehaves on order."""

    level: int = param(40, "mean of the values")
    error: str = param("", "raised for heads whose name holds `bad`")
    atlas: Path | None = param(None, "a file")
    lacks: str = param("", "what this machine lacks")

    def missing(self) -> str:
        return self.lacks

    def anonymize(self, head: Head, rng: np.random.Generator) -> Head | AnonymizedHead:
        assert head.registration is not None
        assert head.brain is not None
        assert not head.voxels.flags.writeable
        if "bad" in head.subject:
            raise {"data": DataError, "plugin": PluginError, "bug": KeyError}[self.error]("no such thing")
        voxels = head.voxels.copy()
        voxels[:, 10:] = rng.normal(self.level, 5, voxels[:, 10:].shape)
        if self.level == 0:
            return AnonymizedHead.compare(head, head, "no face found", "it looks away")
        return head.with_voxels(voxels)


class FatalInAProcess(Shade):
    """Ends every process but the first."""

    def tool_versions(self) -> dict[str, str]:
        if multiprocessing.parent_process() is not None:
            os.kill(os.getpid(), signal.SIGKILL)
        return {}


class _Figures:
    def as_dict(self) -> dict[str, Any]:
        return {"skin_left": 0.25, "brain_changed": 0}


class _Skin:
    def __init__(self, head: Head) -> None:
        self.found, self.cut = float("faceless" not in head.subject), 0.0
        self.has_face = self.found > 0


class Log:
    """Hears the batch."""

    def __init__(self) -> None:
        self.plan: tuple[int, int] = (0, 0)
        self.ended_heads: list[str] = []

    def planned(self, heads: int, done: int) -> None:
        self.plan = (heads, done)

    def ended(self, record: HeadRecord) -> None:
        self.ended_heads.append(record.file)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins for what takes seconds per head: registration, brain, judgement, processes."""

    def brain_of(head: Head) -> np.ndarray:
        return np.zeros(head.voxels.shape, dtype=bool)

    def judge(head: Head, skin: _Skin, brain: Any, brain_from: str, released: AnonymizedHead) -> Any:
        assert brain_from == "deepbet"
        np.testing.assert_array_equal(head.voxels != released.head.voxels, released.changed)
        outcome = released.outcome if skin.has_face else "no face found"
        return outcome, released.note, _Figures()

    monkeypatch.setattr(anonymize_head, "register", lambda head: np.eye(4))
    monkeypatch.setattr(anonymize_head, "facial_skin", _Skin)
    monkeypatch.setattr(anonymize_head, "brain_of", brain_of)
    monkeypatch.setattr(anonymize_head, "judge", judge)
    judge.__module__ = "refbench.anonymizers.verdict"
    monkeypatch.setattr(
        batch, "side_by_side", lambda files, method, jobs: (anonymize_file(file, method) for file in files)
    )


def shade(**params: Any) -> Method:
    return Method(Chosen("anonymizer", "shade", Shade(**params), "tests"))


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write(name: str, seed: int = 0) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        voxels = np.random.default_rng(seed).integers(0, 200, SHAPE).astype(np.int16)
        nib.save(nib.Nifti1Image(voxels, np.diag([-2.0, 2, 2.5, 1])), path)
        return path

    return write


def run(source: Path, out: Path, method: Method | None = None) -> tuple[Summary, Log]:
    log = Log()
    return anonymize_files(source, out, method or shade(), listener=log), log


def tree(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.usefixtures("quick")
def test_one_head_to_a_file_or_into_a_folder(tmp_path: Path, write: Callable[..., Path]) -> None:
    source = write("in/jane.nii.gz")
    summary, log = run(source, tmp_path / "out/hidden.nii.gz")
    assert tree(tmp_path / "out") == [
        f"hidden{end}" for end in (".json", ".nii.gz", "_anonymized.json", "_changed.nii.gz")
    ]
    assert (log.plan, log.ended_heads, summary.left_out) == ((1, 0), ["jane.nii.gz"], 0)
    before, after = read_head(source), read_head(tmp_path / "out/hidden.nii.gz")
    changed = read_head(tmp_path / "out/hidden_changed.nii.gz").voxels > 0
    np.testing.assert_array_equal(before.voxels != after.voxels, changed)
    assert changed.any(axis=(0, 2)).tolist() == [False] * 10 + [True] * 4
    assert nib.load(tmp_path / "out/hidden.nii.gz").get_data_dtype() == np.int16

    run(source, tmp_path / "folder")
    assert (tmp_path / "folder/jane.nii.gz").read_bytes() == (tmp_path / "out/hidden.nii.gz").read_bytes()


@pytest.mark.usefixtures("quick")
def test_the_record_says_how_it_was_made(tmp_path: Path, write: Callable[..., Path]) -> None:
    source = write("in/jane.nii")
    (summary, _) = run(source, tmp_path / "out", shade(level=60, atlas=tmp_path / "secret/atlas.nii"))
    record = json.loads((tmp_path / "out/jane_anonymized.json").read_text())
    assert record == {**record, "file": "jane.nii", "outcome": "ok", "released": True, "seed": 0, "note": ""}
    assert record["params"] == {"level": 60, "error": "", "atlas": "atlas.nii", "lacks": ""}
    assert record["figures"] == {"skin_left": 0.25, "brain_changed": 0}
    assert len(record["input_sha256"]) == len(record["output_sha256"]) == 64
    assert str(tmp_path) not in json.dumps(record)
    assert HeadRecord(**record) == summary.records[0]


@pytest.mark.usefixtures("quick")
def test_a_folder_is_mirrored_with_a_table(tmp_path: Path, write: Callable[..., Path]) -> None:
    for name in ("b.nii.gz", "site/a.nii", ".hidden/c.nii", "site/.d.nii.gz"):
        write(f"in/{name}")
    (tmp_path / "in/notes.txt").write_text("not a head")
    summary, _ = run(tmp_path / "in", tmp_path / "out")
    assert tree(tmp_path / "out") == [
        SUMMARY_NAME,
        *("b.json", "b.nii.gz", "b_anonymized.json", "b_changed.nii.gz"),
        *("site/a.json", "site/a.nii", "site/a_anonymized.json", "site/a_changed.nii.gz"),
    ]
    with (tmp_path / "out" / SUMMARY_NAME).open() as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["file"], row["outcome"], row["skin_left"]) for row in rows] == [
        ("b.nii.gz", "ok", "0.25"),
        ("site/a.nii", "ok", "0.25"),
    ]
    assert summary.left_out == 0


@pytest.mark.parametrize("description", [True, False])
@pytest.mark.usefixtures("quick")
def test_of_a_bids_data_set_only_raw_t1w_heads(tmp_path: Path, write: Callable[..., Path], description: bool) -> None:
    wanted = ["sub-01/anat/sub-01_T1w.nii.gz", "sub-02/ses-1/anat/sub-02_ses-1_T1w.nii"]
    others = ["sub-01/anat/sub-01_T2w.nii.gz", "sub-01/func/sub-01_bold.nii.gz", "derivatives/x/sub-01_T1w.nii.gz"]
    for name in wanted + others:
        write(f"in/{name}")
    if description:
        (tmp_path / "in/dataset_description.json").write_text("{}")
    summary, _ = run(tmp_path / "in", tmp_path / "out")
    assert [record.file for record in summary.records] == wanted
    assert summary.left_out == len(others)
    assert [name for name in tree(tmp_path / "out") if "T1w.nii" in name] == [
        name.replace("_T1w", "_desc-anonymized_T1w") for name in wanted
    ]


@pytest.mark.usefixtures("quick")
def test_a_bids_data_set_becomes_a_derivative(tmp_path: Path, write: Callable[..., Path]) -> None:
    write("in/sub-01/anat/sub-01_T1w.nii.gz")
    write("in/sub-bad/anat/sub-bad_T1w.nii.gz", 1)
    (tmp_path / "in/participants.tsv").write_text("participant_id\tbirthday\nsub-01\t2000-01-01\n")
    summary, _ = run(tmp_path / "in", tmp_path / "out", shade(error="data"))
    assert summary.derivative
    released = [
        *("sub-01/anat/sub-01_desc-anonymized_T1w.json", "sub-01/anat/sub-01_desc-anonymized_T1w.nii.gz"),
        "sub-01/anat/sub-01_desc-anonymized_T1w_anonymized.json",
        "sub-01/anat/sub-01_mod-T1w_desc-anonymized_defacemask.nii.gz",
    ]
    own = [".bidsignore", SUMMARY_NAME, "dataset_description.json", "defacemask.json"]
    failed = "sub-bad/anat/sub-bad_desc-anonymized_T1w_anonymized.json"
    assert tree(tmp_path / "out") == [*own, *released, failed]

    heads = Bids(path=tmp_path / "out")
    (scan,) = heads.scans()
    assert scan.files[0].name == "sub-01_desc-anonymized_T1w.nii.gz"
    np.testing.assert_array_equal(heads.load(scan).voxels, read_head(tmp_path / "out" / released[1]).voxels)

    (tmp_path / "out/dataset_description.json").write_text('{"Name": "mine"}')
    with pytest.raises(RefbenchError, match="belongs to another data set"):
        run(tmp_path / "in", tmp_path / "out")


@pytest.mark.usefixtures("quick")
def test_a_sidecar_that_an_interruption_cost_is_written_later(tmp_path: Path, write: Callable[..., Path]) -> None:
    source = write("in/a.nii.gz")
    run(source, tmp_path / "out")
    before = (tmp_path / "out/a.json").read_bytes()
    (tmp_path / "out/a.json").unlink()
    _, log = run(source, tmp_path / "out")
    assert log.ended_heads == []
    assert (tmp_path / "out/a.json").read_bytes() == before

    run(source, tmp_path / "out", shade(level=0))  # nothing is released: nothing says it was
    assert tree(tmp_path / "out") == ["a_anonymized.json"]


@pytest.mark.usefixtures("quick")
def test_a_json_file_of_somebody_else_is_never_written_over(tmp_path: Path, write: Callable[..., Path]) -> None:
    source = write("in/a.nii.gz")
    (tmp_path / "in/b.json").write_text("{}")
    with pytest.raises(RefbenchError, match=r"b\.json: is there already"):
        run(source, tmp_path / "in/b.nii.gz")


@pytest.mark.usefixtures("quick")
def test_what_is_done_is_not_done_again(tmp_path: Path, write: Callable[..., Path]) -> None:
    for number, name in enumerate(("a", "b", "c", "d")):
        write(f"in/{name}.nii.gz", number)
    run(tmp_path / "in", tmp_path / "out")
    table = (tmp_path / "out" / SUMMARY_NAME).read_text()
    summary, log = run(tmp_path / "in", tmp_path / "out")
    assert (log.plan, log.ended_heads) == ((4, 4), [])
    assert len(summary.records) == summary.done_before == 4
    assert (tmp_path / "out" / SUMMARY_NAME).read_text() == table

    write("in/a.nii.gz", 9)  # another head
    (tmp_path / "out/b.nii.gz").unlink()
    (tmp_path / "out/c_changed.nii.gz").unlink()
    (tmp_path / "out/d.nii.gz").write_bytes(b"cut short")
    _, log = run(tmp_path / "in", tmp_path / "out")
    assert log.ended_heads == ["a.nii.gz", "b.nii.gz", "c.nii.gz", "d.nii.gz"]


@pytest.mark.parametrize("other", [{"level": 60}, {"seed": 1}])
@pytest.mark.usefixtures("quick")
def test_another_method_does_all_again(tmp_path: Path, write: Callable[..., Path], other: dict[str, int]) -> None:
    source = write("in/a.nii")
    run(source, tmp_path / "out")
    first = (tmp_path / "out/a.nii").read_bytes()
    changed = shade(level=60) if "level" in other else replace(shade(), seed=1)
    _, log = run(source, tmp_path / "out", changed)
    assert log.ended_heads == ["a.nii"]
    assert (tmp_path / "out/a.nii").read_bytes() != first


@pytest.mark.usefixtures("quick")
def test_random_numbers_hang_on_seed_and_voxels_alone(tmp_path: Path, write: Callable[..., Path]) -> None:
    source = write("in/a.nii")
    (tmp_path / "in/b.nii.gz").write_bytes(gzip.compress(source.read_bytes()))
    write("in/c.nii", 1)
    run(tmp_path / "in", tmp_path / "out")
    run(source, tmp_path / "alone")
    a, b, c = (read_head(tmp_path / "out" / name).voxels for name in ("a.nii", "b.nii.gz", "c.nii"))
    np.testing.assert_array_equal(a, b)
    assert (a[:, 10:] != c[:, 10:]).any()
    assert (tmp_path / "alone/a.nii").read_bytes() == (tmp_path / "out/a.nii").read_bytes()


@pytest.mark.parametrize("kind", ["data", "bug"])
@pytest.mark.usefixtures("quick")
def test_a_head_that_fails_does_not_stop_the_others(tmp_path: Path, write: Callable[..., Path], kind: str) -> None:
    for number, name in enumerate(("a", "bad", "c")):
        write(f"in/{name}.nii.gz", number)
    (tmp_path / "in/broken.nii.gz").write_bytes(b"no volume")
    (tmp_path / "in/gone.nii.gz").symlink_to(tmp_path / "not fetched")
    summary, _ = run(tmp_path / "in", tmp_path / "out", shade(error=kind))
    said = {record.file.removesuffix(".nii.gz"): record for record in summary.records}
    assert {name: record.outcome for name, record in said.items()} == {
        "a": "ok", "bad": "failed", "broken": "failed", "c": "ok", "gone": "failed"
    }  # fmt: skip
    assert "no such thing" in said["bad"].note
    assert said["broken"].note.startswith("broken.nii.gz: not a NIfTI file")
    assert "cannot be read" in said["gone"].note
    assert str(tmp_path) not in "".join(record.note for record in summary.records)
    assert not (tmp_path / "out/bad.nii.gz").exists()

    _, log = run(tmp_path / "in", tmp_path / "out", shade(error=kind))  # failed heads are tried again
    assert log.ended_heads == ["bad.nii.gz", "broken.nii.gz", "gone.nii.gz"]


@pytest.mark.usefixtures("quick")
def test_what_no_head_would_fare_better_with_stops_all(tmp_path: Path, write: Callable[..., Path]) -> None:
    for name in ("a", "bad", "c"):
        write(f"in/{name}.nii.gz")
    with pytest.raises(PluginError, match="no such thing"):
        run(tmp_path / "in", tmp_path / "out", shade(error="plugin"))
    assert "a.nii.gz,shade" in (tmp_path / "out" / SUMMARY_NAME).read_text()
    with pytest.raises(Unavailable, match="an atlas"):
        run(tmp_path / "in", tmp_path / "other", shade(lacks="an atlas"))
    assert not (tmp_path / "other").exists()


@pytest.mark.usefixtures("quick")
def test_without_a_face_nothing_is_written_unless_asked(tmp_path: Path, write: Callable[..., Path]) -> None:
    write("in/faceless.nii.gz")
    write("in/jane.nii.gz")
    summary, _ = run(tmp_path / "in", tmp_path / "out")
    assert [record.outcome for record in summary.records] == ["no face found", "ok"]
    assert "no face was found" in summary.records[0].note
    assert tree(tmp_path / "out")[1:3] == ["faceless_anonymized.json", "jane.json"]
    _, log = run(tmp_path / "in", tmp_path / "out")
    assert log.ended_heads == []

    summary, log = run(tmp_path / "in", tmp_path / "out", replace(shade(), anyway=True))
    assert log.ended_heads == ["faceless.nii.gz"]
    assert [record.released for record in summary.records] == [True, True]
    assert summary.records[0].outcome == "no face found"


@pytest.mark.usefixtures("quick")
def test_the_masks_of_an_earlier_release_are_no_heads(tmp_path: Path, write: Callable[..., Path]) -> None:
    write("in/a.nii.gz")
    write("in/b_changed.nii.gz")  # somebody's head: no record says otherwise
    run(tmp_path / "in", tmp_path / "out")
    summary, _ = run(tmp_path / "out", tmp_path / "again")
    assert [record.file for record in summary.records] == ["a.nii.gz", "b_changed.nii.gz"]


@pytest.mark.usefixtures("quick")
def test_an_older_release_never_stands_beside_the_record_of_another(tmp_path: Path, write: Callable[..., Path]) -> None:
    source = write("in/bad.nii.gz")
    (tmp_path / "in/good.nii.gz").write_bytes(source.read_bytes())
    run(tmp_path / "in/good.nii.gz", tmp_path / "out/head.nii.gz")
    assert (tmp_path / "out/head.nii.gz").exists()
    summary, _ = run(source, tmp_path / "out/head.nii.gz", shade(error="data"))
    assert summary.records[0].outcome == "failed"
    assert tree(tmp_path / "out") == ["head_anonymized.json"]


@pytest.mark.usefixtures("quick")
def test_a_release_that_is_a_copy_is_not_written(tmp_path: Path, write: Callable[..., Path]) -> None:
    summary, _ = run(write("in/a.nii"), tmp_path / "out", shade(level=0))
    assert (summary.records[0].outcome, summary.records[0].released) == ("no face found", False)
    assert summary.records[0].note == "it looks away; nothing was changed, so nothing is written"
    assert tree(tmp_path / "out") == ["a_anonymized.json"]


@pytest.mark.usefixtures("quick")
def test_interrupted_it_leaves_whole_files_and_goes_on(
    tmp_path: Path, write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, name in enumerate(("a", "b", "c")):
        write(f"in/{name}.nii.gz", number)
    write_release = anonymize_head.write_release

    def interrupted(release: Any, out: Path) -> None:
        if out.name == "b.nii.gz":
            raise KeyboardInterrupt
        write_release(release, out)

    with monkeypatch.context() as patch:
        patch.setattr(anonymize_head, "write_release", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "in", tmp_path / "out")
    assert [name for name in tree(tmp_path / "out") if name.endswith(".nii.gz")] == [
        "a.nii.gz", "a_changed.nii.gz", "b_changed.nii.gz"
    ]  # fmt: skip
    assert "not finished" in json.loads((tmp_path / "out/b_anonymized.json").read_text())["note"]
    _, log = run(tmp_path / "in", tmp_path / "out")
    assert log.plan == (3, 1)
    assert log.ended_heads == ["b.nii.gz", "c.nii.gz"]


@pytest.mark.usefixtures("quick")
def test_inputs_and_files_of_others_are_never_written_over(tmp_path: Path, write: Callable[..., Path]) -> None:
    source = write("in/a.nii.gz")
    before = source.read_bytes()
    (tmp_path / "link").symlink_to(tmp_path / "in")
    for wrong in (source, tmp_path / "in", tmp_path / "link/a.nii.gz"):
        with pytest.raises(RefbenchError, match="would be written over"):
            run(source, wrong)
    with pytest.raises(RefbenchError, match="must be named"):
        run(shutil.copy(source, tmp_path / "a.mgz"), tmp_path / "out")
    for wrong in (tmp_path / "in", tmp_path / "in/out", tmp_path / "link"):
        with pytest.raises(RefbenchError, match="must stay as they are"):
            run(tmp_path / "in", wrong)
    write("out/a.nii.gz", 5)
    with pytest.raises(RefbenchError, match="is there already"):
        run(tmp_path / "in", tmp_path / "out")
    write("in/a.nii")
    with pytest.raises(RefbenchError, match=r"a_changed\.nii\.gz would be written over"):
        run(tmp_path / "in", tmp_path / "new")
    assert source.read_bytes() == before
    assert tree(tmp_path / "in") == ["a.nii", "a.nii.gz"]


def test_nothing_to_anonymize(tmp_path: Path, write: Callable[..., Path]) -> None:
    (tmp_path / "empty").mkdir()
    write("bids/sub-1/anat/sub-1_T2w.nii.gz")
    for source, text in (("nowhere", "no such file"), ("empty", r"holds no \.nii"), ("bids", "BIDS")):
        with pytest.raises(DataError, match=text):
            head_files(tmp_path / source, tmp_path / "out")
    with pytest.raises(RefbenchError, match="is a file"):
        head_files(tmp_path / "bids", write("file.nii"))


@pytest.mark.slow
def test_a_process_that_dies_fails_its_head_alone(tmp_path: Path, write: Callable[..., Path]) -> None:
    write("in/a.nii.gz")
    write("in/b.nii.gz")
    method = Method(Chosen("anonymizer", "fatal", FatalInAProcess(), "tests"))
    summary, log = run(tmp_path / "in", tmp_path / "out", method)
    assert sorted(log.ended_heads) == ["a.nii.gz", "b.nii.gz"]
    assert all("killed" in record.note for record in summary.records)
    assert tree(tmp_path / "out") == ["a_anonymized.json", SUMMARY_NAME, "b_anonymized.json"]


@pytest.fixture(scope="module")
def blurred(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The face template as a file, anonymized for real in a process of its own."""
    folder = tmp_path_factory.mktemp("real")
    template = template_head()
    (folder / "in").mkdir()
    nib.save(nib.Nifti1Image(template.voxels.astype(np.int16), template.affine), folder / "in/head.nii.gz")
    (folder / "in/broken.nii").write_bytes(b"")
    yield folder
    shutil.rmtree(folder)


@pytest.mark.slow
def test_for_real(blurred: Path) -> None:
    method = Method(Chosen("anonymizer", "blur", Blur(strength_mm=8), "tests"))
    log = Log()
    summary = anonymize_files(blurred / "in", blurred / "out", method, jobs=2, listener=log)
    assert log.plan == (2, 0)
    broken, head = summary.records
    assert broken.outcome == "failed"
    assert (head.outcome, head.figures["brain_changed"]) == ("ok", 0), head.note
    assert head.figures["face_found"] > 0.9
    before, after = (read_head(blurred / place / "head.nii.gz") for place in ("in", "out"))
    changed = read_head(blurred / "out/head_changed.nii.gz").voxels > 0
    np.testing.assert_array_equal(before.voxels != after.voxels, changed)
    assert head.figures["changed_voxels"] == changed.sum()
