"""Whatever is wrong with files or disk: a message that says what, and nothing lost but what hangs on it.

What a reader, a dataset or an archive refuses is tested with them (test_nifti.py, test_folder.py, test_bids.py,
test_ixi.py, test_ixi_tar.py, test_download.py); here whole runs go on without it.
"""

from __future__ import annotations

import gzip
import json
import resource
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import small_heads
import yaml
from conftest import Workplace
from small_heads import AFFINE, small_head, without_affine, write

from refbench.full_disk import says_full
from refbench.results import Run, load_run
from refbench.store import write_atomically

GOOD = {"A01": "train", "B02": "train", "A03": "train", "B04": "validation", "A05": "test", "B06": "test"}
"""Name of a file, which says site and subject, to part of the split."""


def truncated(path: Path) -> None:
    write(path, small_head(11))
    path.write_bytes(path.read_bytes()[:-300])


def flipped(path: Path) -> None:
    content = bytearray(gzip.compress(nib.Nifti1Image(small_head(12), AFFINE).to_bytes(), compresslevel=0))
    content[2000] ^= 4
    path.write_bytes(content)


def with_a_voxel(value: float) -> Callable[[Path], None]:
    def write_it(path: Path) -> None:
        voxels = small_head(13).astype(np.float32)
        voxels[3, 4, 5] = value
        write(path, voxels)

    return write_it


def with_a_zero_affine(path: Path) -> None:
    path.write_bytes(gzip.compress(without_affine(nib.Nifti1Image(small_head(14), AFFINE))))


def twice(path: Path) -> None:
    write(path, small_head(15))
    write(path.with_name(f"again_{path.name}"), small_head(16))


BAD: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "A21": ("train", truncated, "truncated or damaged gzip file"),
    "B22": ("test", flipped, "truncated or damaged gzip file"),
    "A23": ("train", with_a_voxel(np.nan), "1 voxels are NaN"),
    "B24": ("validation", with_a_voxel(np.inf), "1 voxels are NaN, infinite"),
    "A25": ("test", with_a_zero_affine, "voxels of 0 x 0 x 0 mm"),
    "B26": ("train", lambda path: write(path, small_head(17)[:, :, 5]), "has 2 axes"),
    "A27": ("train", lambda path: write(path, np.stack([small_head(18)[..., None]] * 2, -1)), "has 5 axes"),
    "B28": ("test", twice, "are both session 1 of subject 28"),
    "A29": ("train", lambda path: write(path, small_head(19)), "no row for"),
    "B30": ("test", lambda path: write(path, small_head(20)), "cannot be read (No such file or directory)"),
}
"""The same for files that cannot be used, and why."""


@pytest.fixture(scope="module")
def gone_through(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workplace, subprocess.CompletedProcess[str], Run]:
    """One run over people whose files are good, and as many whose are not."""
    workplace = Workplace(tmp_path_factory.mktemp("bad"))
    heads = workplace.folder / "heads"
    for number, name in enumerate(GOOD):
        write(heads / f"{name}.nii.gz", small_head(number))
    for name, (_, make, _) in BAD.items():
        make(heads / f"{name}.nii.gz")
    parts = GOOD | {name: part for name, (part, _, _) in BAD.items()}
    rows = [f"{name[1:]},{part}" for name, part in parts.items()]
    (workplace.folder / "parts.csv").write_text("\n".join(["subject,part", *rows]))
    sites = [f"{name[1:]},{name[0]}" for name in parts if name != "A29"] + ["99,A"]  # who has no scan is no harm
    (workplace.folder / "sites.csv").write_text("\n".join(["subject,site", *sites]))
    keys = small_heads.suite(csv="sites.csv", vanishes="B30.nii.gz")
    suite = workplace.suite(yaml.safe_dump(keys | {"split": {"method": "csv", "csv": "parts.csv"}}))
    result = workplace.refbench("run", suite)
    assert result.returncode == 3, result.stderr
    return workplace, result, load_run(workplace.run_folder())


Gone = tuple[Workplace, subprocess.CompletedProcess[str], Run]


def test_the_run_goes_on_without_them(gone_through: Gone) -> None:
    _, result, run = gone_through
    assert result.returncode == 3
    assert "Traceback" not in result.stdout + result.stderr
    assert set(run.cells["status"]) == {"ok"}
    assert set(run.scores["subject"]) == {"05", "06"}
    assert "10 of 16 scans excluded, of 10 subject(s)" in " ".join(run.info["notes"])
    assert not any(name in note for note in run.info["notes"] for name in (*GOOD, *BAD, "heads"))


@pytest.mark.parametrize("name", BAD)
def test_each_is_named_listed_as_excluded_and_said_in_the_split(gone_through: Gone, name: str) -> None:
    workplace, result, run = gone_through
    part, _, problem = BAD[name]
    file, subject = str(workplace.folder / "heads" / f"{name}.nii.gz"), name[1:]
    messages = [line for line in result.stderr.splitlines() if file in line]
    assert len(messages) == 1
    assert problem in messages[0]
    if name == "B28":
        assert str(workplace.folder / "heads" / "again_B28.nii.gz") in messages[0]
    own = run.subjects[run.subjects["subject"] == subject]
    assert own["part"].tolist() == ["excluded"]
    assert file in own["note"].item()
    split = pd.read_csv(run.folder / "split.csv", dtype=str, keep_default_na=False).set_index("subject")
    assert split.loc[subject, "part"] == part
    assert split.loc[subject, "note"].startswith(f"{subject} excluded: ")
    assert problem in split.loc[subject, "note"]


def test_nobody_else_is_excluded(gone_through: Gone) -> None:
    _, _, run = gone_through
    used = run.subjects[run.subjects["part"] != "excluded"]
    assert dict(zip(used["subject"], used["part"], strict=True)) == {name[1:]: part for name, part in GOOD.items()}
    split = pd.read_csv(run.folder / "split.csv", dtype=str, keep_default_na=False).set_index("subject")
    assert set(split.loc[[name[1:] for name in GOOD], "note"]) == {""}


@pytest.mark.slow
def test_verify_names_the_same_files(gone_through: Gone) -> None:
    workplace, _, run = gone_through
    result = workplace.refbench("data", "verify", workplace.folder / "tiny.yaml")
    assert result.returncode == 3
    named = {name for name in (*GOOD, *BAD) if f"{name}.nii.gz" in result.stderr}
    assert named == set(BAD) - {"B30"}, "it is not there any more"
    assert run.info["notes"]


# A full disk: a limit on the size of files stands in for it, at the same calls of the system


def limited(workplace: Workplace, size: int, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command line where no file can grow over `size` bytes."""
    return subprocess.run(
        [sys.executable, "-m", "refbench", *map(str, arguments)],
        cwd=workplace.folder,
        env=workplace.environment(),
        capture_output=True,
        text=True,
        timeout=300,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
    )


def files(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_without_space_a_run_stops_with_what_it_has_and_goes_on_later(workplace: Workplace) -> None:
    small_heads.write_heads(workplace.folder / "heads", 5)
    suite = workplace.suite(yaml.safe_dump(small_heads.suite() | {"slices": {"count": 21, "size": 64}}))
    stopped = limited(workplace, 100_000, "run", suite)  # enough for heads, not for their slices
    store = workplace.folder / "store"
    assert stopped.returncode == 2
    (message,) = stopped.stderr.splitlines()
    assert message.startswith("slice ")
    assert "no space left to write its result" in message
    assert f"kept in {store}: make room there" in message
    assert "the same command goes on from there" in message

    made = files(store / "objects")
    assert {json.loads((store / "objects" / name).read_text())["status"] for name in made if "status" in name} == {"ok"}
    labels = [json.loads((store / "objects" / name).read_text())["label"] for name in made if "status" in name]
    assert sorted(label for label in labels if label.startswith("head")) == [f"head {n:02}" for n in range(5)]
    assert not any(label.startswith("slice") for label in labels)
    assert not files(store / "failures"), "nobody is to blame"
    assert {Path(name).name for name in files(store / "runs")} == {"lock.json", "plan.json", "events.jsonl"}, "no table"
    assert not [name for name in files(store / "scratch") if "/" in name], "its room is given back"

    assert workplace.refbench("run", suite).returncode == 0
    assert made.items() <= files(store / "objects").items(), "what had finished is not made again"
    assert workplace.count("fit") == 1


def test_without_space_for_its_tables_a_run_leaves_none_half_written(workplace: Workplace) -> None:
    small_heads.write_heads(workplace.folder / "heads", 4)
    suite = workplace.suite(yaml.safe_dump(small_heads.suite() | {"split": {"test": 1, "validation": 1}}))
    assert workplace.refbench("run", suite).returncode == 0
    for path in workplace.run_folder().iterdir():
        path.unlink()
    stopped = limited(workplace, 500, "run", suite)
    assert stopped.returncode == 2
    assert "File too large" in stopped.stderr
    assert "make room; the same command goes on from there" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert not files(workplace.run_folder()).keys() - {"events.jsonl"}, "what is appended to is no table"
    assert workplace.refbench("run", suite).returncode == 0
    assert load_run(workplace.run_folder()).info["suite"] == "tiny"


def test_a_small_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    code = (
        "import resource, sys; from pathlib import Path; from refbench.store import write_atomically\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "write_atomically(Path(sys.argv[1]), b'x' * 2000)"
    )
    place = tmp_path / "table.csv"
    write_atomically(place, "before")
    done = subprocess.run([sys.executable, "-c", code, str(place)], capture_output=True, text=True, timeout=60)
    assert "File too large" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]
    assert place.read_text() == "before"


@pytest.mark.parametrize(
    ("error", "full"),
    [
        ("[Errno 28] No space left on device: 'x'", True),
        ("OSError: 12288 requested and 4096 written", True),
        ("SafetensorError: Error while serializing: I/O error: No space left on device (os error 28)", True),
        ("[Errno 122] Disk quota exceeded", True),
        ("[Errno 13] Permission denied: 'x'", False),
        ("ValueError: 12 requested", False),
    ],
)
def test_a_full_disk_is_told_by_its_words(error: str, full: bool) -> None:
    assert says_full(error) == full


def test_real_libraries_say_so_on_a_device_that_is_full() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    for write_it in (partial(np.save, arr=np.zeros(100_000)), lambda file: file.write(b"x")):
        with pytest.raises(OSError) as caught, Path("/dev/full").open("wb") as file:  # noqa: PT011
            write_it(file)
        assert says_full(str(caught.value))
