import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from refbench.errors import DataError
from refbench.slicing import CutSlices, SliceOptions, cut, place, upper_percentile
from refbench.types import AnonymizedHead, Head, Mask


def ellipsoid(
    shape: tuple[int, int, int] = (50, 60, 55),
    voxel_mm: tuple[float, float, float] = (4.0, 4.0, 4.0),
    centre_mm: tuple[float, float, float] | None = None,
    half_mm: tuple[float, float, float] = (60.0, 80.0, 90.0),
) -> Head:
    """A bright ellipsoid in dark air; its centre is the volume's if not given, in mm from the volume's corner."""
    edges = np.array(voxel_mm)
    centre = np.array(shape) * edges / 2 if centre_mm is None else np.array(centre_mm)
    axes = [(np.arange(n) + 0.5) * e - c for n, e, c in zip(shape, edges, centre, strict=True)]
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    inside = (x / half_mm[0]) ** 2 + (y / half_mm[1]) ** 2 + (z / half_mm[2]) ** 2 < 1
    # A ramp along y, so that no two rows are alike.
    voxels = np.where(inside, 100 + 0.2 * (y + 0 * x + 0 * z), 0).astype(np.float32)
    return Head(voxels, np.diag([*edges, 1.0]))


def cut_unchanged(head: Head, face: Mask | None = None, **options: object) -> CutSlices:
    face = np.zeros(head.voxels.shape, dtype=bool) if face is None else face
    return cut(head, AnonymizedHead.compare(head, head), face, SliceOptions.model_validate(options))


def extent_mm(image: np.ndarray, pixel_mm: float) -> tuple[float, float]:
    rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
    return (rows[-1] - rows[0] + 1) * pixel_mm, (columns[-1] - columns[0] + 1) * pixel_mm


# Where slices lie


def test_21_slices_lie_evenly_over_the_face_width_around_the_middle() -> None:
    columns, _ = place(ellipsoid(), SliceOptions())
    assert len(columns) == 21
    assert columns[10] in (24, 25)  # the plane of symmetry is 24.5
    assert set(np.diff(columns)) == {1, 2}
    # The front third of the ellipsoid is 2 * 60 * sqrt(1 - (1/3)^2) = 113 mm wide, 28 voxels.
    assert abs((columns[-1] - columns[0]) - 28 * 20 / 21) <= 2


@settings(max_examples=10, deadline=None)
@given(st.floats(-30, 30), st.sampled_from([1, 5, 20, 21]))
def test_slices_follow_a_head_that_is_off_centre(shift_mm: float, count: int) -> None:
    head = ellipsoid(centre_mm=(100 + shift_mm, 120, 110))
    columns, _ = place(head, SliceOptions(count=count))
    middle = (100 + shift_mm) / 4 - 0.5
    assert len(columns) == count
    assert abs(columns.mean() - middle) <= 1
    assert count == 1 or len(set(columns.tolist())) == count


def test_a_face_behind_wide_ears_is_as_wide_as_the_face() -> None:
    head = ellipsoid()
    voxels = head.voxels.copy()
    voxels[3:47, 26:30, 25:30] = 100  # a bar through the ears
    wide, _ = place(head.with_voxels(voxels), SliceOptions())
    narrow, _ = place(head, SliceOptions())
    np.testing.assert_array_equal(wide, narrow)


def test_spacing_in_mm_overrides_the_width() -> None:
    columns, _ = place(ellipsoid(), SliceOptions(count=5, spacing_mm=12.0))
    np.testing.assert_array_equal(np.diff(columns), 3)


def test_the_papers_slices_are_every_fifth_voxel_around_round_nx_half() -> None:
    head = ellipsoid((150, 60, 60), (1.2, 4.0, 4.0), centre_mm=(80, 120, 120))
    columns, _ = place(head, SliceOptions(placement="paper"))
    np.testing.assert_array_equal(columns, 75 + 5 * np.arange(-10, 11))


def test_columns_stay_in_the_volume() -> None:
    columns, _ = place(ellipsoid((40, 60, 60), (4.0, 4.0, 4.0)), SliceOptions(placement="paper"))
    assert columns.min() >= 0
    assert columns.max() <= 39


def test_slices_are_the_planes_that_geometry_names() -> None:
    head = ellipsoid((56, 64, 64))
    voxels = head.voxels * np.linspace(0.5, 1, 56, dtype=np.float32)[:, None, None]
    slices = cut_unchanged(head.with_voxels(voxels), size=64, percentile=100)
    for image, column in zip(slices.original, slices.geometry["columns"], strict=True):
        np.testing.assert_allclose(image, voxels[column].T[::-1, ::-1] / voxels.max(), rtol=1e-6)


# How they look


def test_row_0_is_the_top_and_column_0_is_in_front_of_the_face() -> None:
    head = ellipsoid()
    voxels = head.voxels.copy()
    voxels[:, 45:48, 38:42] = 500  # above and in front
    image = cut_unchanged(head.with_voxels(voxels), size=64, percentile=100).original[10]
    rows, columns = np.nonzero(image == 1)
    # 60 x 55 voxels lie in 64 x 64 pixels: 2 and 4 pixels of padding before the first voxel.
    assert sorted(set(columns.tolist())) == [64 - 1 - (2 + y) for y in (47, 46, 45)]
    assert sorted(set(rows.tolist())) == [64 - 1 - (4 + z) for z in (41, 40, 39, 38)]


@pytest.mark.parametrize("size", [32, 64, 256])
def test_a_checkerboard_is_padded_or_cropped_but_never_resampled(size: int) -> None:
    head = ellipsoid()
    board = 0.5 + 0.5 * (np.indices(head.voxels.shape).sum(axis=0) % 2)
    voxels = np.where(head.voxels > 0, 100 * board, 0).astype(np.float32)
    image = cut_unchanged(head.with_voxels(voxels), size=size, percentile=100).original[10]
    assert set(np.unique(image).tolist()) <= {0.0, 0.5, 1.0}
    inner = image[size // 2 - 12 : size // 2 + 12, size // 2 - 12 : size // 2 + 12]
    assert (inner[1:] != inner[:-1]).all()
    assert (inner[:, 1:] != inner[:, :-1]).all()
    assert image.shape == (size, size)


@pytest.mark.parametrize("voxel_mm", [(5.0, 2.0, 4.0), (4.0, 5.0, 2.5), (6.0, 3.0, 3.0)])
@pytest.mark.parametrize("pixel_mm", [None, 1.0, 2.0])
def test_the_aspect_is_physical_whatever_the_voxels(
    voxel_mm: tuple[float, float, float], pixel_mm: float | None
) -> None:
    shape = tuple(int(240 / edge) for edge in voxel_mm)
    head = ellipsoid(shape, voxel_mm)  # 160 mm from front to back, 180 mm high
    slices = cut_unchanged(head, size=256, pixel_mm=pixel_mm)
    assert slices.geometry["pixel_mm"] == (pixel_mm or min(voxel_mm[1:]))
    height, depth = extent_mm(slices.original[10] > 0.4, slices.geometry["pixel_mm"])
    tolerance = 2 * max(*voxel_mm, pixel_mm or 0)
    assert height == pytest.approx(180, abs=tolerance)
    assert depth == pytest.approx(160, abs=tolerance)


def test_resampling_keeps_a_ramp_where_it_is() -> None:
    head = ellipsoid((25, 100, 100), (8.0, 2.0, 2.0), half_mm=(80, 95, 95))
    z = (np.arange(100) + 0.5) * 2.0
    voxels = np.where(head.voxels > 0, z, 0).astype(np.float32)
    image = cut_unchanged(head.with_voxels(voxels), size=200, pixel_mm=1.0, percentile=100).original[10]
    heights = 200 - (np.arange(200) + 0.5)  # of pixel centres in mm, from the top
    middle = image[20:180, 100] * voxels.max()
    np.testing.assert_allclose(middle, heights[20:180], atol=1e-3)


@pytest.mark.parametrize("shift", [-40.0, 0.0, 40.0])
def test_a_crop_follows_the_head(shift: float) -> None:
    head = ellipsoid((30, 100, 100), (6.0, 4.0, 4.0), (90, 200 + shift, 200 - shift), (50, 60, 55))
    image = cut_unchanged(head, size=32).original[10]
    rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
    assert abs((rows[0] + rows[-1]) / 2 - 15.5) <= 1
    assert abs((columns[0] + columns[-1]) / 2 - 15.5) <= 1


# Intensities


def test_the_percentile_of_the_released_volume_becomes_one() -> None:
    head = ellipsoid()
    released = head.with_voxels(head.voxels * 2)
    slices = cut(head, AnonymizedHead.compare(head, released), np.zeros(head.voxels.shape, bool), SliceOptions())
    white = np.percentile(released.voxels, 99.5)
    assert slices.geometry["white"] == pytest.approx(white)
    expected = head.voxels[slices.geometry["columns"][10]].max() / white
    assert slices.original[10].max() == pytest.approx(expected, rel=1e-3)
    assert slices.anonymized.max() == 1


def test_the_papers_scale_is_that_of_the_original() -> None:
    head = ellipsoid()
    released = head.with_voxels(head.voxels / 2)
    options = SliceOptions(scale="original")
    slices = cut(head, AnonymizedHead.compare(head, released), np.zeros(head.voxels.shape, bool), options)
    white = np.percentile(head.voxels, 99.5)
    assert slices.geometry["white"] == pytest.approx(white)
    assert slices.anonymized[10].max() == pytest.approx(released.voxels.max() / white, rel=0.01)


def test_nothing_of_the_original_reaches_the_released_slices_by_default() -> None:
    head = ellipsoid()
    released = ellipsoid(half_mm=(60, 70, 90))
    empty = np.zeros(head.voxels.shape, bool)
    one = cut(head, AnonymizedHead.compare(head, released), empty, SliceOptions())
    brighter = head.with_voxels(head.voxels * 3 + 7)
    two = cut(brighter, AnonymizedHead.compare(brighter, released), empty, SliceOptions())
    np.testing.assert_array_equal(one.anonymized, two.anonymized)
    assert one.geometry == two.geometry


def test_images_are_clipped_to_0_and_1() -> None:
    head = ellipsoid()
    voxels = head.voxels.copy()
    voxels[24:26, 30, 27] = 1e6
    voxels[24:26, 31, 27] = -1e6
    slices = cut_unchanged(head.with_voxels(voxels), size=64)
    assert slices.original.min() == 0
    assert slices.original.max() == 1
    assert slices.original.dtype == slices.anonymized.dtype == np.float32


def test_eight_bits_are_256_levels() -> None:
    exact = cut_unchanged(ellipsoid(), percentile=100, size=64).original
    quantised = cut_unchanged(ellipsoid(), percentile=100, size=64, bits=8).original
    levels = quantised.astype(np.float64) * 255
    np.testing.assert_allclose(levels, np.round(levels), atol=1e-4)
    assert np.abs(quantised - exact).max() <= 0.5 / 255 + 1e-6
    assert (quantised != exact).any()


# Masks


@pytest.mark.parametrize("pixel_mm", [None, 3.0])
def test_masks_are_cut_at_the_same_places_as_images(pixel_mm: float | None) -> None:
    head = ellipsoid()
    face = np.zeros(head.voxels.shape, bool)
    face[:, 45:, :28] = True
    hidden = head.voxels.copy()
    hidden[face] = 0
    released = head.with_voxels(hidden)
    options = SliceOptions(pixel_mm=pixel_mm)
    slices = cut(head, AnonymizedHead.compare(head, released), face, options)
    assert slices.changed.dtype == slices.face.dtype == bool
    assert slices.changed.shape == slices.face.shape == slices.original.shape
    assert (slices.changed <= slices.face).all()
    assert slices.changed.any()
    if pixel_mm is None:
        np.testing.assert_array_equal(slices.changed, slices.original != slices.anonymized)
        np.testing.assert_array_equal(slices.changed, slices.face & (slices.original > 0))


def test_without_a_change_both_conditions_are_the_same() -> None:
    slices = cut_unchanged(ellipsoid())
    np.testing.assert_array_equal(slices.original, slices.anonymized)
    assert not slices.changed.any()
    assert slices.original.shape == (21, 256, 256)


# Errors


@pytest.mark.parametrize("value", [0.0, 7.0])
def test_a_volume_without_a_head_is_an_error(value: float) -> None:
    head = ellipsoid()
    gone = head.with_voxels(np.full_like(head.voxels, value))
    with pytest.raises(DataError):
        cut(head, AnonymizedHead.compare(head, gone), np.zeros(head.voxels.shape, bool), SliceOptions())


def test_a_scale_of_nothing_is_an_error() -> None:
    head = ellipsoid(half_mm=(20, 20, 20))
    small = head.with_voxels(np.where(head.voxels > 0, head.voxels, -5).astype(np.float32))
    with pytest.raises(DataError, match="percentile of the released volume is -5, not above 0"):
        cut_unchanged(small, percentile=60)


@pytest.mark.parametrize(
    "options", [{"count": 0}, {"size": 30}, {"size": 8}, {"pixel_mm": 0}, {"percentile": 50}, {"bits": 7}, {"sise": 64}]
)
def test_impossible_options_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        SliceOptions.model_validate(options)


@settings(max_examples=100, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 3000), st.sampled_from([50.01, 60, 99.5, 99.9, 100]), st.integers(0, 3)
)
def test_the_percentile_is_numpys_to_the_bit(seed: int, size: int, percent: float, kind: int) -> None:
    rng = np.random.default_rng(seed)
    values = [
        rng.normal(size=size),
        rng.integers(0, 4, size),
        np.sort(rng.gamma(1, 100, size)),
        np.where(np.arange(size) % 7, 0, rng.random(size)),  # the sample that sets the bound may see nothing but these
    ][kind].astype(np.float32)
    assert upper_percentile(values, percent) == float(np.percentile(values, percent))


def test_a_percentile_that_the_sample_is_blind_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("refbench.slicing._SAMPLE", 100)
    values = np.zeros(10_000, dtype=np.float32)
    values[::100] = np.arange(100)  # every value that the sample sees is bright
    assert upper_percentile(values, 99.5) == float(np.percentile(values, 99.5))


def test_the_papers_slices_of_a_volume_that_fits_need_no_head() -> None:
    head = ellipsoid((150, 60, 60), (1.2, 4.0, 4.0))
    speck = np.zeros_like(head.voxels)
    speck[70:80, 30, 30] = 1
    columns, _ = place(head.with_voxels(speck), SliceOptions(placement="paper", size=64))
    np.testing.assert_array_equal(columns, 75 + 5 * np.arange(-10, 11))
    with pytest.raises(DataError, match="no head"):
        place(head.with_voxels(speck), SliceOptions(size=64))
