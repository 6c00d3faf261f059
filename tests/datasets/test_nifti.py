import contextlib
import gzip
import itertools
import os
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from refbench.datasets.nifti import read_head
from refbench.errors import DataError

SHAPE = (5, 6, 7)
AFFINE = np.array([[2.0, 0, 0, -5], [0, 1.5, 0, -20], [0, 0, 1.0, 3], [0, 0, 0, 1]])
ORIENTATIONS = [
    "".join(axes) for order in itertools.permutations(("RL", "AP", "SI")) for axes in itertools.product(*order)
]


@pytest.fixture(autouse=True)
def no_warnings_and_no_chatter(capfd: pytest.CaptureFixture[str]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
    assert capfd.readouterr() == ("", "")


def voxels(dtype: Any = np.float32) -> np.ndarray:
    return np.arange(np.prod(SHAPE)).reshape(SHAPE).astype(dtype)


def save(path: Path, data: np.ndarray, affine: np.ndarray = AFFINE, image: Any = nib.Nifti1Image) -> Path:
    nib.save(image(data, affine), path)
    return path


def tilt(degrees: float) -> np.ndarray:
    sine, cosine = np.sin(np.radians(degrees)), np.cos(np.radians(degrees))
    return np.array([[1, 0, 0, 0], [0, cosine, -sine, 0], [0, sine, cosine, 0], [0, 0, 0, 1]])


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("degrees", [0, 7])
def test_all_48_orientations_are_the_same_head(tmp_path: Path, suffix: str, degrees: float) -> None:
    assert len(set(ORIENTATIONS)) == 48
    original = nib.Nifti1Image(voxels(), tilt(degrees) @ AFFINE)
    for orientation in ORIENTATIONS:
        turn = nib.orientations.ornt_transform(
            nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(orientation)
        )
        nib.save(original.as_reoriented(turn), tmp_path / f"head{suffix}")
        head = read_head(tmp_path / f"head{suffix}")
        np.testing.assert_array_equal(head.voxels, voxels(), err_msg=orientation)
        np.testing.assert_allclose(head.affine, original.affine, atol=1e-5, err_msg=orientation)


def test_what_is_returned(tmp_path: Path) -> None:
    head = read_head(save(tmp_path / "a.nii.gz", voxels()), subject="A", session="2", site="HH")
    assert (head.subject, head.session, head.site) == ("A", "2", "HH")
    assert head.voxels.dtype == np.float32
    assert head.voxels.flags.c_contiguous
    assert head.voxels.flags.writeable
    assert head.affine.dtype == np.float64
    assert not head.labels
    np.testing.assert_allclose(head.voxel_mm, (2, 1.5, 1))


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8", ">i2", ">f4"])
@pytest.mark.parametrize("image", [nib.Nifti1Image, nib.Nifti2Image])
def test_data_types_and_byte_orders(tmp_path: Path, dtype: str, image: Any) -> None:
    data = np.minimum(voxels(np.float64), 127).astype(dtype)
    header = image.header_class(endianness=">" if dtype.startswith(">") else "<")
    header.set_data_dtype(data.dtype)
    nib.save(image(data, AFFINE, header), tmp_path / "a.nii")
    np.testing.assert_array_equal(read_head(tmp_path / "a.nii").voxels, data.astype(np.float32))


def test_scaling_of_the_file_is_applied(tmp_path: Path) -> None:
    image = nib.Nifti1Image(voxels(np.int16), AFFINE)
    image.header.set_slope_inter(0.5, -3)
    nib.save(image, tmp_path / "a.nii")  # nibabel stores the voxels so that slope and intercept give them back
    raw = bytearray((tmp_path / "a.nii").read_bytes())
    raw[112:120] = np.array([0.25, 10], "<f4").tobytes()
    (tmp_path / "b.nii").write_bytes(raw)
    stored = np.frombuffer(raw[352:], "<i2").reshape(SHAPE, order="F")
    np.testing.assert_allclose(read_head(tmp_path / "b.nii").voxels, stored * 0.25 + 10)


def test_a_fourth_axis_with_one_volume(tmp_path: Path) -> None:
    head = read_head(save(tmp_path / "a.nii.gz", voxels()[..., None]))
    np.testing.assert_array_equal(head.voxels, voxels())


def test_a_file_without_orientation_is_read_as_nifti_prescribes(tmp_path: Path) -> None:
    image = nib.Nifti1Image(voxels(), None)
    image.header.set_zooms((2, 1.5, 1))
    nib.save(image, tmp_path / "a.nii")
    head = read_head(tmp_path / "a.nii")
    np.testing.assert_array_equal(head.voxels, voxels()[::-1])
    np.testing.assert_allclose(head.voxel_mm, (2, 1.5, 1))


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "scan"])
def test_contents_decide_not_the_name(tmp_path: Path, name: str) -> None:
    source = save(tmp_path / "source.nii", voxels())
    (tmp_path / name).write_bytes(source.read_bytes())
    np.testing.assert_array_equal(read_head(tmp_path / name).voxels, voxels())


def test_oddities_of_headers_are_read_in_silence(tmp_path: Path) -> None:
    raw = bytearray(save(tmp_path / "a.nii", voxels()).read_bytes())
    raw[76:80] = np.array([5], "<f4").tobytes()  # pixdim[0] must be 1 or -1
    raw[252:254] = np.array([77], "<i2").tobytes()  # no such qform code
    (tmp_path / "a.nii").write_bytes(raw)
    np.testing.assert_array_equal(read_head(tmp_path / "a.nii").voxels, voxels())


def with_bytes(position: int, value: np.ndarray) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        raw = bytearray(save(path, voxels()).read_bytes())
        raw[position : position + value.nbytes] = value.tobytes()
        path.write_bytes(raw)

    return write


def with_data(data: np.ndarray, affine: np.ndarray = AFFINE) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(nib.Nifti1Image(data, affine).to_bytes())


def with_value(value: float, dtype: str = "f4") -> Callable[[Path], None]:
    data = voxels(dtype)
    data[1, 2, 3] = value
    return with_data(data)


def shortened(compress: bool, keep: float) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        noise = np.random.default_rng(0).random((20, 20, 20), np.float32)
        raw = nib.Nifti1Image(noise, AFFINE).to_bytes()
        raw = gzip.compress(raw) if compress else raw
        path.write_bytes(raw[: int(len(raw) * keep)])

    return write


def with_a_flipped_byte(path: Path) -> None:
    raw = bytearray(gzip.compress(nib.Nifti1Image(voxels(), AFFINE).to_bytes(), compresslevel=0))
    raw[-100] ^= 1
    path.write_bytes(raw)


PARALLEL = AFFINE.copy()
PARALLEL[:, 1] = PARALLEL[:, 0]
COLOUR = np.zeros(SHAPE, [("R", "u1"), ("G", "u1"), ("B", "u1")])
SFORM_ROW_X = 280

BAD_FILES = {
    "2D": (with_data(voxels()[:, :, 0]), "2 axes"),
    "one slice": (with_data(voxels()[:, :, :1]), "not a volume"),
    "several volumes": (with_data(np.stack([voxels()] * 3, -1)), "3 volumes"),
    "5D": (with_data(voxels()[..., None, None].repeat(2, 4)), "5 axes"),
    "no voxels": (with_bytes(42, np.array([0], "<i2")), "not a volume"),
    "negative size": (with_bytes(42, np.array([-5], "<i2")), "not a volume"),
    "NaN affine": (with_bytes(SFORM_ROW_X, np.array([np.nan], "<f4")), "affine holds NaN"),
    "infinite affine": (with_bytes(SFORM_ROW_X + 12, np.array([np.inf], "<f4")), "affine holds NaN"),
    "zero voxel size": (with_bytes(SFORM_ROW_X, np.zeros(1, "<f4")), "voxels of 0 x 1.5 x 1 mm"),
    "singular affine": (with_bytes(SFORM_ROW_X, PARALLEL[:3].astype("<f4")), "singular"),
    "NaN voxel": (with_value(np.nan), "1 voxels are NaN"),
    "infinite voxel": (with_value(-np.inf), "1 voxels are NaN, infinite"),
    "too large a voxel": (with_value(1e300, "f8"), "too large"),
    "empty": (with_data(np.zeros(SHAPE, "i2")), "every voxel is 0"),
    "constant": (with_data(np.full(SHAPE, 3, "f4")), "every voxel is 3"),
    "complex": (with_data(voxels("c8")), "complex"),
    "colour": (with_data(COLOUR), "colour"),
    "unknown type": (with_bytes(70, np.array([999], "<i2")), "damaged NIfTI"),
    "truncated gzip": (shortened(True, 0.6), "gzip"),
    "gzip without its end": (lambda path: shortened(True, 1)(path) or path.write_bytes(path.read_bytes()[:-4]), "gzip"),
    "flipped byte": (with_a_flipped_byte, "gzip"),
    "truncated": (shortened(False, 0.6), "damaged NIfTI"),
    "header alone": (shortened(False, 0.005), "not a NIfTI"),
    "empty file": (lambda path: path.write_bytes(b""), "not a NIfTI"),
    "text": (lambda path: path.write_text("This is not a volume. " * 40), "not a NIfTI"),
    "pickle": (lambda path: path.write_bytes(pickle.dumps([{}] * 400)), "not a NIfTI"),
    "half of a pair": (with_bytes(344, np.frombuffer(b"ni1\0", "u1")), "another file"),
    "folder": (lambda path: path.mkdir(), "cannot be read"),
    "nothing": (lambda path: None, "cannot be read"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_what_cannot_be_a_head_is_named(tmp_path: Path, kind: str) -> None:
    write, message = BAD_FILES[kind]
    path = tmp_path / "bad.nii"
    write(path)
    with pytest.raises(DataError) as caught:
        read_head(path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 351), st.integers(0, 255)), min_size=1, max_size=6))
def test_any_damaged_header_is_a_head_or_a_data_error(tmp_path: Path, changes: list[tuple[int, int]]) -> None:
    path = save(tmp_path / "a.nii", voxels())
    raw = bytearray(path.read_bytes())
    for position, value in changes:
        raw[position] = value
    path.write_bytes(raw)
    with contextlib.suppress(DataError):
        head = read_head(path)
        assert np.isfinite(head.voxels).all()
        assert np.isfinite(head.affine).all()


def test_real_heads_are_read_upright() -> None:
    folder = Path(os.environ.get("REFBENCH_HEADS", "../shared/heads"))
    if not folder.is_dir():
        pytest.skip(f"real heads are not at {folder} (set REFBENCH_HEADS)")
    for path in sorted(folder.glob("*.nii.gz")):
        head = read_head(path)
        assert nib.aff2axcodes(head.affine) == ("R", "A", "S")
        _, _, depth = head.voxels.shape
        assert head.voxels[:, :, depth // 2].mean() > head.voxels[:, :, -1].mean()  # air above the head


def test_a_gzip_file_in_several_pieces_and_with_zeros_behind(tmp_path: Path) -> None:
    """As parallel compressors write it, and as tapes and block devices pad it."""
    raw = nib.Nifti1Image(voxels(), AFFINE).to_bytes()
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(raw[:500]) + gzip.compress(raw[500:]) + bytes(100))
    np.testing.assert_array_equal(read_head(tmp_path / "a.nii.gz").voxels, voxels())
