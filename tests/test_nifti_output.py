import gzip
import itertools
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nibabel.nifti1 import Nifti1Extension

from refbench.datasets.nifti import read_head
from refbench.errors import DataError
from refbench.nifti_output import encode_release, write_mask, write_release

SHAPE = (5, 6, 7)
ORIENTATIONS = [
    "".join(axes) for order in itertools.permutations(("RL", "AP", "SI")) for axes in itertools.product(*order)
]
KINDS = {
    "int16": ("<i2", 1.0, 0.0),
    "uint8": ("<u1", 1.0, 0.0),
    "float32": ("<f4", 1.0, 0.0),
    "float64": ("<f8", 1.0, 0.0),
    "scaled int16": ("<i2", 0.37, -12.5),
    "big-endian uint16": (">u2", 2.0, 20.0),
}
LAYOUT = {nib.Nifti1Image: (352, slice(108, 112)), nib.Nifti2Image: (544, slice(168, 176))}
"""Where the voxels start, and which bytes of the header say so."""
TEXTS = {
    nib.Nifti1Image: [slice(4, 14), slice(14, 32), slice(148, 228), slice(228, 252), slice(328, 344)],
    nib.Nifti2Image: [slice(240, 320), slice(320, 344), slice(508, 524)],
}
"""Where the header holds texts: data_type and db_name (NIfTI-1 only), descrip, aux_file, intent_name."""


def source_file(
    path: Path,
    kind: str = "int16",
    orientation: str = "RAS",
    image: Any = nib.Nifti1Image,
    fourth_axis: bool = False,
    extension: bytes = b"",
) -> Path:
    """An oblique, anisotropic volume of arbitrary stored values, written without nibabel's own scaling."""
    dtype, slope, inter = KINDS[kind]
    tilt = np.radians(20)
    turned = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    affine = nib.affines.from_matvec(turned @ np.diag([0.9, 1.3, 2.1]), (-50, -70, -30))
    turn = nib.orientations.ornt_transform(
        nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(orientation)
    )
    values = nib.orientations.apply_orientation(values_of(dtype), turn)
    header = image.header_class(endianness=dtype[0])
    header.set_data_dtype(dtype)
    header["descrip"] = b"made by hand"
    written = image(
        values[..., None] if fourth_axis else values,
        affine @ nib.orientations.inv_ornt_aff(turn, SHAPE),
        header,
    )
    written.header.set_slope_inter(slope, inter)
    if extension:
        written.header.extensions.append(Nifti1Extension("comment", extension))
    # nibabel scales on writing: the values are put in as they are, after its header and extensions.
    raw = written.to_bytes()
    size = values.nbytes
    start = len(raw) - size
    field = LAYOUT[image][1]
    head = bytearray(raw[:start])
    offset = np.frombuffer(bytes(head[field]), dtype[0] + ("f4" if image is nib.Nifti1Image else "i8"))[0]
    assert int(offset) == start
    scaling = slice(112, 120) if image is nib.Nifti1Image else slice(176, 192)
    head[scaling] = np.array([slope, inter], dtype[0] + ("f4" if image is nib.Nifti1Image else "f8")).tobytes()
    content = bytes(head) + values.astype(dtype).tobytes(order="F")
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def values_of(dtype: str) -> np.ndarray:
    rng = np.random.default_rng(0)
    if np.dtype(dtype).kind == "f":
        return rng.normal(100, 300, SHAPE).astype(dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, SHAPE, endpoint=True).astype(dtype)


def content_of(path: Path) -> bytes:
    raw = path.read_bytes()
    return gzip.decompress(raw) if path.suffix == ".gz" else raw


def without_texts(raw: bytes, image: Any = nib.Nifti1Image) -> bytes:
    blanked = bytearray(raw)
    for text in TEXTS[image]:
        blanked[text] = bytes(text.stop - text.start)
    return bytes(blanked)


def stored_in(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj.get_unscaled())


@pytest.mark.parametrize("kind", KINDS)
def test_a_head_that_did_not_change_gives_the_same_file_in_all_48_orientations(tmp_path: Path, kind: str) -> None:
    assert len(set(ORIENTATIONS)) == 48
    for orientation in ORIENTATIONS:
        source = source_file(tmp_path / "in.nii", kind, orientation)
        head = read_head(source)
        write_release(encode_release(source, head.voxels, np.zeros(SHAPE, dtype=bool)), tmp_path / "out.nii")
        assert (tmp_path / "out.nii").read_bytes() == without_texts(source.read_bytes()), orientation


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("image", LAYOUT)
@pytest.mark.parametrize("fourth_axis", [False, True])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_only_the_changed_voxels_change(tmp_path: Path, kind: str, image: Any, fourth_axis: bool, suffix: str) -> None:
    source = source_file(tmp_path / f"in{suffix}", kind, "PIR", image, fourth_axis)
    out = tmp_path / f"out{suffix}"
    head = read_head(source)
    changed = np.zeros(SHAPE, dtype=bool)
    changed[1:4, 2:, 3] = True
    released = np.where(changed, np.float32(90), head.voxels)
    write_release(encode_release(source, released, changed), out)

    assert nib.load(out).shape == nib.load(source).shape
    after = read_head(out)
    slope = KINDS[kind][1]
    np.testing.assert_array_equal(after.voxels[~changed], head.voxels[~changed])
    np.testing.assert_allclose(after.voxels[changed], 90, atol=slope / 2 + 1e-3)
    np.testing.assert_array_equal(after.affine, head.affine)
    voxels_start = LAYOUT[image][0]
    assert content_of(out)[:voxels_start] == without_texts(content_of(source), image)[:voxels_start]
    assert np.count_nonzero(stored_in(out) != stored_in(source)) == changed.sum()


@pytest.mark.parametrize("kind", KINDS)
def test_the_release_says_what_its_file_holds(tmp_path: Path, kind: str) -> None:
    source = source_file(tmp_path / "in.nii.gz", kind, "LSP")
    head = read_head(source)
    changed = np.zeros(SHAPE, dtype=bool)
    changed[2:] = True
    released = head.voxels.copy()
    released[2:4] += 0.1 * KINDS[kind][1]  # less than an integer can tell
    released[4] = -90
    release = encode_release(source, released, changed)
    write_release(release, tmp_path / "out.nii.gz")
    np.testing.assert_array_equal(read_head(tmp_path / "out.nii.gz").voxels, release.voxels)
    differs = stored_in(tmp_path / "out.nii.gz") != stored_in(source)
    assert differs.sum() == release.changed.sum()
    assert not release.changed[:2].any()
    np.testing.assert_array_equal(release.changed[2:4], release.voxels[2:4] != head.voxels[2:4])
    if "int" in kind:
        assert not release.changed[2:4].any()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    value=st.floats(-(2.0**100), 2.0**100, width=32),
    dtype=st.sampled_from(["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8", ">i2", ">f4"]),
)
def test_values_are_rounded_and_clipped_to_what_the_type_holds(tmp_path: Path, value: float, dtype: str) -> None:
    header = nib.Nifti1Header(endianness=">" if dtype.startswith(">") else "<")
    header.set_data_dtype(dtype)
    nib.save(nib.Nifti1Image(np.arange(8).reshape(2, 2, 2).astype(dtype), np.eye(4), header), tmp_path / "in.nii")
    changed = np.zeros((2, 2, 2), dtype=bool)
    changed[1, 1, 1] = True
    release = encode_release(tmp_path / "in.nii", np.full((2, 2, 2), value, dtype=np.float32), changed)
    write_release(release, tmp_path / "out.nii")
    stored = stored_in(tmp_path / "out.nii")
    assert stored.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(stored.ravel()[:7], range(7))
    if np.dtype(dtype).kind == "f":
        assert stored[1, 1, 1] == np.float32(value)
    else:
        limits = np.iinfo(dtype)
        wanted = min(max(round(value), limits.min), limits.max)
        # The largest 64-bit integers are no floats: the next float below is as near as it gets.
        assert abs(int(stored[1, 1, 1]) - wanted) <= (2048 if np.dtype(dtype).itemsize == 8 else 0)


@pytest.mark.parametrize("image", LAYOUT)
def test_texts_of_the_header_are_blanked(tmp_path: Path, image: Any) -> None:
    """dcm2niix writes a time into `descrip`; programs for ANALYZE wrote the file's old name into `db_name`."""
    source, out, mask = (tmp_path / name for name in ("in.nii", "out.nii", "mask.nii"))
    source_file(source, image=image)
    raw = bytearray(source.read_bytes())
    for number, text in enumerate(TEXTS[image]):
        raw[text] = f"DOE^{number}".encode().ljust(text.stop - text.start, b"x")
    source.write_bytes(raw)
    assert nib.load(source).header["descrip"].item().startswith(b"DOE^")
    head = read_head(source)
    write_release(encode_release(source, head.voxels, np.zeros(SHAPE, dtype=bool)), out)
    assert out.read_bytes() == without_texts(raw, image)
    write_mask(source, np.zeros(SHAPE, dtype=bool), mask)
    assert nib.load(mask).header["descrip"].item() == b"where the head was changed"
    for file in (out, mask):
        assert b"DOE" not in file.read_bytes()
        assert b"xxxx" not in file.read_bytes()


@pytest.mark.parametrize("image", LAYOUT)
def test_extensions_and_what_follows_the_voxels_are_left_out(tmp_path: Path, image: Any) -> None:
    source = source_file(tmp_path / "in.nii", "scaled int16", "RAS", image, extension=b"PatientName: DOE^JANE")
    source.write_bytes(source.read_bytes() + b"born 1970")
    assert b"JANE" in source.read_bytes()
    head = read_head(source)
    write_release(encode_release(source, head.voxels, np.zeros(SHAPE, dtype=bool)), tmp_path / "out.nii")
    plain = source_file(tmp_path / "plain.nii", "scaled int16", "RAS", image)
    assert (tmp_path / "out.nii").read_bytes() == without_texts(plain.read_bytes(), image)


@pytest.mark.parametrize("slope", [0.0, np.nan])
def test_a_header_without_scaling_stays_without(tmp_path: Path, slope: float) -> None:
    source = source_file(tmp_path / "in.nii", "int16")
    raw = bytearray(source.read_bytes())
    raw[112:116] = np.float32(slope).tobytes()
    source.write_bytes(raw)
    changed = np.ones(SHAPE, dtype=bool)
    write_release(encode_release(source, np.full(SHAPE, 7, dtype=np.float32), changed), tmp_path / "out.nii")
    assert (tmp_path / "out.nii").read_bytes()[:352] == without_texts(raw)[:352]
    assert (stored_in(tmp_path / "out.nii") == 7).all()


def test_a_file_without_orientation_is_written_as_it_was_read(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(values_of("i2"), None), tmp_path / "in.nii")
    head = read_head(tmp_path / "in.nii")
    changed = np.zeros(SHAPE, dtype=bool)
    changed[0, 2, 3] = True  # RAS+: the file's first axis points to the left
    write_release(encode_release(tmp_path / "in.nii", head.voxels - 5, changed), tmp_path / "out.nii")
    where = np.argwhere(stored_in(tmp_path / "in.nii") != stored_in(tmp_path / "out.nii"))
    assert where.tolist() == [[SHAPE[0] - 1, 2, 3]]


@pytest.mark.parametrize("kind", ["scaled int16", "big-endian uint16"])
@pytest.mark.parametrize("image", LAYOUT)
def test_a_mask_lies_on_the_grid_of_its_source(tmp_path: Path, kind: str, image: Any) -> None:
    mask = np.random.default_rng(1).random(SHAPE) > 0.5
    for orientation in ORIENTATIONS[::5]:
        source = source_file(tmp_path / "in.nii.gz", kind, orientation, image, fourth_axis=True)
        write_mask(source, mask, tmp_path / "mask.nii.gz")
        written, original = nib.load(tmp_path / "mask.nii.gz"), nib.load(source)
        assert type(written) is image
        assert written.get_data_dtype() == np.uint8
        assert written.shape == original.shape
        assert written.header.endianness == original.header.endianness
        np.testing.assert_array_equal(written.affine, original.affine)
        np.testing.assert_array_equal(read_head(tmp_path / "mask.nii.gz").voxels, mask)


def test_the_same_release_gives_the_same_bytes_and_leaves_nothing_else(tmp_path: Path) -> None:
    source = source_file(tmp_path / "in.nii.gz")
    release = encode_release(source, read_head(source).voxels, np.zeros(SHAPE, dtype=bool))
    (tmp_path / "new").mkdir()
    for name in ("a.nii.gz", "b.nii.gz", "a.nii.gz"):
        write_release(release, tmp_path / "new" / name)
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["a.nii.gz", "b.nii.gz"]
    assert (tmp_path / "new/a.nii.gz").read_bytes() == (tmp_path / "new/b.nii.gz").read_bytes()


def test_what_cannot_be_written_says_why(tmp_path: Path) -> None:
    source = source_file(tmp_path / "in.nii.gz")
    nothing = np.zeros(SHAPE, dtype=bool)
    release = encode_release(source, read_head(source).voxels, nothing)
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"file/out\.nii.*cannot be written"):
        write_release(release, tmp_path / "file" / "out.nii")
    with pytest.raises(DataError, match=r"in\.nii\.gz: holds \(5, 6, 7\) voxels"):
        encode_release(source, np.zeros((2, 2, 2), dtype=np.float32), np.zeros((2, 2, 2), dtype=bool))
    with pytest.raises(DataError, match="cannot be read again"):
        write_mask(tmp_path / "gone.nii", nothing, tmp_path / "mask.nii")
