"""Every damaged file of a made-up IXI is named, and no other."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from made_up_ixi import write_cohort

from refbench.datasets.base import Dataset, Scan
from refbench.datasets.ixi import IXI
from refbench.errors import DataError
from refbench.registry import plugin_module
from refbench.verify import Grid, Verdict, _unusual, verify


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort") / "IXI-T1"
    write_cohort(folder, people=8, scale=0.2)
    return folder


@pytest.fixture
def files(cohort: Path, tmp_path: Path) -> list[Path]:
    """A copy that a test may damage."""
    return sorted(Path(shutil.copytree(cohort, tmp_path / "IXI-T1")).iterdir())


def check(files: list[Path]) -> Verdict:
    return verify(IXI(path=files[0].parent), jobs=2)


def rewritten(file: Path, change: object) -> None:
    image = nib.Nifti1Image.from_bytes(gzip.decompress(file.read_bytes()))
    file.write_bytes(gzip.compress(change(image).to_bytes()))  # type: ignore[operator]


def with_nan(image: nib.Nifti1Image) -> nib.Nifti1Image:
    voxels = np.asarray(image.dataobj).astype(np.float32)
    voxels[3, 3, 3] = np.nan
    return nib.Nifti1Image(voxels, image.affine)


def test_made_up_heads_are_as_ixi_stores_them(files: list[Path]) -> None:
    image = nib.load(files[0])
    assert nib.aff2axcodes(image.affine) == ("P", "S", "R")
    assert image.shape[0] == image.shape[1] > image.shape[2]
    assert image.get_data_dtype() == np.int16
    tilt = np.rad2deg(np.arctan2(image.affine[2, 0], -image.affine[1, 0]))
    assert abs(tilt) == pytest.approx(7, abs=0.01)
    assert {file.name.split("-")[1] for file in files} == {"Guys", "HH", "IOP"}


def test_five_damaged_files_are_named_and_nothing_else(files: list[Path]) -> None:
    told: list[tuple[int, int]] = []
    sound = verify(IXI(path=files[0].parent), progress=lambda done, total: told.append((done, total)))
    assert sound == Verdict(8, (), ())
    assert told == [(done, 8) for done in range(1, 9)]

    truncated, empty, no_head, with_nans, flat = (files[i] for i in (0, 2, 3, 5, 7))
    truncated.write_bytes(truncated.read_bytes()[:-1000])
    empty.write_bytes(b"")
    no_head.write_bytes(gzip.compress(b"<html>moved</html>" * 50))
    rewritten(with_nans, with_nan)
    rewritten(flat, lambda image: nib.Nifti1Image(np.asarray(image.dataobj)[:, :, :1], image.affine))
    verdict = check(files)
    assert (verdict.checked, verdict.unusual) == (8, ())
    for message, file, problem in zip(
        verdict.unusable,
        (truncated, empty, no_head, with_nans, flat),
        ("truncated or damaged gzip", "not a NIfTI file", "not a NIfTI file", "1 voxels are NaN", "not a volume"),
        strict=True,
    ):
        assert message.startswith(f"{file}: ")
        assert problem in message


def test_another_grid_than_most_of_the_site_is_no_fault(files: list[Path]) -> None:
    """One file of IXI has another voxel size; and all of IOP have fewer slices than the other sites."""
    of_guys = [file for file in files if "Guys" in file.name]
    rewritten(of_guys[1], lambda image: nib.Nifti1Image(image.dataobj, image.affine @ np.diag([1, 1, 0.9, 1])))
    verdict = check(files)
    assert verdict.unusable == ()
    (message,) = verdict.unusual
    assert message.startswith(
        f"{of_guys[1]}: 30 x 51 x 51 voxels of 5.4 x 4.71 x 4.71 mm, most of Guys are 30 x 51 x 51 voxels of 6 x"
    )


def test_a_site_without_a_usual_grid_says_nothing() -> None:
    scans = [Scan(str(number), "here") for number in range(4)]
    grids = [Grid((10 * n, 10, 10), (1, 1, 1)) for n in (1, 1, 2, 2)]
    assert _unusual(scans, grids) == []


PLUGIN = """
import os
from pathlib import Path
from refbench.datasets.base import Dataset, Scan

class Fragile(Dataset):
    def scans(self):
        return [Scan(name, "site") for name in ("fine", "bug", "large", "fatal")]

    def load(self, scan):
        if scan.subject == "bug":
            raise KeyError("no such thing")
        if scan.subject == "large":
            raise MemoryError
        if scan.subject == "fatal" and Path(__file__).with_name("fatal").exists():
            os._exit(9)
        from refbench.datasets.phantom_scan import make_head
        return make_head({"seed": 0, "person": 1, "session": 1, "site": "HH", "scale": 0.2})
"""


def from_file(path: Path) -> Dataset:
    path.write_text(PLUGIN)
    fragile = plugin_module(path).Fragile()
    assert isinstance(fragile, Dataset)
    return fragile


def test_a_dataset_of_somebody_else_may_fail_in_its_own_ways(tmp_path: Path) -> None:
    path = tmp_path / "fragile.py"
    verdict = verify(from_file(path), plugin_files=[path])
    assert verdict.checked == 4
    assert verdict.unusable[0].startswith("bug: cannot be loaded (KeyError: 'no such thing')")
    assert verdict.unusable[1].startswith("large: does not fit into memory")


def test_a_process_that_dies_is_told(tmp_path: Path) -> None:
    path = tmp_path / "fragile.py"
    (tmp_path / "fatal").touch()
    with pytest.raises(DataError, match=r"process that read \w+, or a file soon after, died"):
        verify(from_file(path), plugin_files=[path])


def test_copies_and_two_files_of_one_person_are_named(files: list[Path]) -> None:
    files[2].write_bytes(files[0].read_bytes())
    extra = files[4].with_name(files[4].name.replace("-T1.nii.gz", "-T1.nii"))
    extra.write_bytes(gzip.decompress(files[4].read_bytes()))
    verdict = check(files)
    copy, both = verdict.unusable
    assert copy.startswith(f"{files[2]}: the same content as {files[0]}. One of them has the name of somebody else")
    assert "are both session 1 of subject" in both
    assert str(extra) in both
    assert str(files[4]) in both
    assert verdict.unusual == ()
