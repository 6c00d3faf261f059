from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import ndimage

from refbench.anonymizers.brain import grown
from refbench.anonymizers.face_parts import PART_NAMES, parts_of
from refbench.anonymizers.mask_face import REGIONS, MaskFace, region_box
from refbench.anonymizers.template import template_brain, template_head
from refbench.errors import DataError
from refbench.geometry import head_mask
from refbench.types import AnonymizedHead, Head

FILTERS = ("normfilter", "blur", "coating")


@lru_cache
def template() -> Head:
    """The template's own head, 2 mm: it lies on itself."""
    atlas = template_head()
    return Head(atlas.voxels, atlas.affine, registration=np.eye(4), brain=template_brain().voxels > 0.5)


@lru_cache
def released_template(**params: Any) -> Head:
    return anonymize(template(), **params)


def anonymize(head: Head, **params: Any) -> Head:
    released = MaskFace(**params).anonymize(head, np.random.default_rng(0))
    assert isinstance(released, Head)
    return released


def changed(**params: Any) -> np.ndarray:
    return released_template(**params).voxels != template().voxels


def skin_left(before: Head, after: Head) -> dict[str, float]:
    """Of the skin seen from the front or a side, the share that has skin of the release within 1 mm, by part."""
    mask, released = (head_mask(head.voxels, head.voxel_mm) for head in (before, after))
    first = np.zeros_like(mask)
    for axis, step in ((1, -1), (0, 1), (0, -1)):
        flipped = np.moveaxis(mask, axis, 0)[::step]
        hit = np.moveaxis(first, axis, 0)[::step]
        hit |= flipped & (np.cumsum(flipped, axis=0) == 1)
    skin = released & ~ndimage.binary_erosion(released, border_value=1)
    distance = ndimage.distance_transform_edt(~skin, sampling=before.voxel_mm)
    at = np.argwhere(first)
    assert before.registration is not None
    part = parts_of(at @ before.affine[:3, :3].T + before.affine[:3, 3], before.registration)
    return {
        name: float((distance[first][part == index] <= 1).mean())
        for index, name in enumerate(PART_NAMES)
        if (part == index).any()
    }


def resampled(head: Head, affine: np.ndarray, shape: tuple[int, int, int]) -> Head:
    to_head = np.linalg.inv(head.affine) @ affine

    def on_grid(values: np.ndarray, order: int) -> np.ndarray:
        return ndimage.affine_transform(values, to_head[:3, :3], to_head[:3, 3], shape, order=order)

    brain = on_grid(np.asarray(head.brain, dtype=np.float32), 1) > 0.5
    return replace(head, voxels=on_grid(head.voxels, 1), affine=affine, brain=brain)


def test_only_a_layer_at_the_skin_of_face_and_ears_changes() -> None:
    head, before = template(), template().voxels.copy()
    masks = [changed(filter=name) for name in FILTERS]
    np.testing.assert_array_equal(head.voxels, before)
    boxes = np.zeros_like(masks[0])
    for region in REGIONS:
        box = region_box(region, head)
        assert box is not None
        assert all(mask[box].any() for mask in masks)
        boxes[box] = True
    anywhere = np.logical_or.reduce(masks)
    assert not (anywhere & ~boxes).any()
    # The coarse mesh leaves the skin by some millimetres; the layer reaches 8 mm below it.
    inside = head_mask(head.voxels, head.voxel_mm)
    depth_mm = ndimage.distance_transform_edt(inside, sampling=head.voxel_mm)
    assert np.percentile(depth_mm[anywhere & inside], 99) < 8 + 8


@settings(max_examples=3, deadline=None)
@given(margin_mm=st.floats(0, 15), name=st.sampled_from(FILTERS), shift=st.integers(0, 25))
def test_the_brain_and_its_margin_never_change(margin_mm: float, name: str, shift: int) -> None:
    """Not even where the brain is said to reach into the face."""
    head = template()
    assert head.brain is not None
    brain = np.roll(head.brain, shift, axis=1)
    mask = anonymize(replace(head, brain=brain), filter=name, margin_mm=margin_mm).voxels != head.voxels
    assert mask.any()
    assert not (mask & grown(brain, template().voxel_mm, margin_mm)).any()


def test_it_is_deterministic_and_reads_read_only_voxels() -> None:
    locked = template().voxels.copy()
    locked.flags.writeable = False
    first = anonymize(replace(template(), voxels=locked))
    second = MaskFace().anonymize(template(), np.random.default_rng(7))
    assert isinstance(second, Head)
    np.testing.assert_array_equal(first.voxels, second.voxels)
    assert first.voxels.dtype == np.float32


def test_a_coating_has_one_intensity_in_every_region() -> None:
    released = released_template(filter="coating")
    assert len(np.unique(released.voxels[released.voxels != template().voxels])) == len(REGIONS)


def test_grain_and_version_scale_the_layer() -> None:
    sizes = [changed(grain=grain).sum() for grain in (0.5, 1, 2)]
    assert sizes[0] < sizes[1] < sizes[2]
    assert sizes[1] / sizes[0] == pytest.approx(2, rel=0.2)
    assert changed(version="2012").sum() / sizes[1] == pytest.approx(6 / 8, rel=0.1)


@pytest.mark.parametrize("params", [{}, {"version": "2012"}, {"filter": "blur"}])
def test_the_facial_skin_is_no_longer_where_it_was(params: dict[str, str]) -> None:
    left = skin_left(template(), template())
    assert left == dict.fromkeys(PART_NAMES, 1.0)
    left = skin_left(template(), released_template(**params))
    assert all(share < 0.5 for share in left.values()), left


@pytest.mark.parametrize("name", ["normfilter", "coating"])
def test_a_mirrored_head_gives_the_mirrored_result(name: str) -> None:
    # The mirror goes through the middle of the template's grid, about which the regions are symmetric.
    assert template().brain is not None
    mirrored = replace(template(), voxels=template().voxels[::-1].copy(), brain=template().brain[::-1].copy())
    expected, found = released_template(filter=name).voxels[::-1], anonymize(mirrored, filter=name).voxels
    np.testing.assert_allclose(found, expected, atol=0.02 * float(template().voxels.max()))


def test_another_scale_and_background_give_the_same_result() -> None:
    other = replace(template(), voxels=3 * template().voxels - 500)
    np.testing.assert_allclose((anonymize(other).voxels + 500) / 3, released_template().voxels, atol=1)


@pytest.mark.parametrize(
    ("voxel_mm", "degrees"), [((1.5, 2, 3), 0), ((3, 3, 1.5), 0), ((2, 2, 2), 20), ((2, 3, 1.6), -15)]
)
def test_other_voxels_and_an_oblique_grid_give_the_same_layer(
    voxel_mm: tuple[float, float, float], degrees: float
) -> None:
    """Compared in the middle of the face, as the boxes around turned corners are larger."""
    angle = np.deg2rad(degrees)
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    size_mm = np.array([180.0, 270, 270])
    affine = turn @ np.diag([*voxel_mm, 1.0])
    centre = template().affine @ np.array([44, 64, 64, 1.0])
    shape = tuple(np.round(size_mm / voxel_mm).astype(int).tolist())
    affine[:3, 3] = centre[:3] - affine[:3, :3] @ (np.array(shape) / 2)
    head = resampled(template(), affine, shape)
    back = np.linalg.inv(affine) @ template().affine
    mask = ndimage.affine_transform(
        (anonymize(head).voxels != head.voxels).astype(np.float32),
        back[:3, :3],
        back[:3, 3],
        template().voxels.shape,
        order=1,
    )
    middle = np.s_[22:66, 80:, 12:48]
    found, expected = mask[middle] > 0.5, changed()[middle]
    dice = 2 * (found & expected).sum() / (found.sum() + expected.sum())
    assert dice > 0.85


@settings(max_examples=6, deadline=None)
@given(data=st.data())
def test_any_cut_field_of_view_is_masked_or_refused_in_words(data: st.DataObject) -> None:
    box = []
    for size in template().voxels.shape:
        first = data.draw(st.integers(0, size - 1))
        box.append(slice(first, first + data.draw(st.integers(1, size))))
    assert template().brain is not None
    shift = np.eye(4)
    shift[:3, 3] = [side.start for side in box]
    part = replace(
        template(),
        voxels=template().voxels[tuple(box)],
        brain=template().brain[tuple(box)],
        affine=template().affine @ shift,
    )
    try:
        released = MaskFace().anonymize(part, np.random.default_rng(0))
    except DataError:
        return  # nothing but air: a constant volume
    head = released.head if isinstance(released, AnonymizedHead) else released
    assert head.voxels.shape == part.voxels.shape
    assert np.isfinite(head.voxels).all()


def test_without_a_chin_the_rest_of_the_face_is_masked_all_the_same() -> None:
    assert template().brain is not None
    shift = np.eye(4)
    shift[2, 3] = 24
    cut = replace(
        template(),
        voxels=template().voxels[..., 24:],
        brain=template().brain[..., 24:],
        affine=template().affine @ shift,
    )
    left = skin_left(cut, anonymize(cut))
    assert "mouth" not in left
    assert all(share < 0.5 for share in left.values()), left


def test_a_face_outside_the_volume_is_said_to_be_missing() -> None:
    away = np.eye(4)
    away[1, 3] = 500
    released = MaskFace().anonymize(replace(template(), registration=away), np.random.default_rng(0))
    assert isinstance(released, AnonymizedHead)
    assert released.outcome == "no face found"
    assert not released.changed.any()
    np.testing.assert_array_equal(released.head.voxels, template().voxels)


def test_parameters() -> None:
    assert MaskFace.model_validate({"version": 2012}) == MaskFace(version="2012")
    for wrong in ({"version": "2013"}, {"filter": "gauss"}, {"grain": 0.2}, {"grain": 3.1}, {"margin_mm": -1}):
        with pytest.raises(ValidationError):
            MaskFace.model_validate(wrong)
    assert MaskFace().needs() == {"registration", "brain"}
    assert MaskFace(brain="template").needs() == {"registration"}
    assert set(MaskFace().tool_versions()) == {"deepbet", "niimath", "pydeface"}


@pytest.mark.slow
@pytest.mark.parametrize("letter", ["a", "b", "c"])
def test_real_faces_are_hidden_and_their_brains_are_whole(
    real_head: Callable[[str], Head], prepared: Callable[[Head], Head], letter: str
) -> None:
    head = prepared(real_head(letter))
    assert head.brain is not None
    for name in FILTERS:
        released = anonymize(head, filter=name)
        left = skin_left(head, released)
        assert all(share < 0.5 for share in left.values()), (name, left)
        assert not ((released.voxels != head.voxels) & grown(head.brain, head.voxel_mm, 4)).any()
