from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refbench.anonymizers.average import BELOW, average_affine, average_head
from refbench.anonymizers.template import template_brain, template_head
from refbench.errors import DataError
from refbench.types import Head, Voxels

NOSE = np.s_[35:53, 108:126, 25:40]
NOSE_AT_4_MM = np.s_[17:27, 54:63, 12:20]


def cropped(head: Head, corner: tuple[int, int, int]) -> Head:
    """The head without its first voxels along each axis, the rest where it was."""
    affine = head.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ corner
    x, y, z = corner
    return replace(head, voxels=head.voxels[x:, y:, z:], affine=affine)


def moved(head: Head, mm: tuple[float, float, float]) -> Head:
    """The head elsewhere in the scanner, and a registration that knows it."""
    shift = np.eye(4)
    shift[:3, 3] = mm
    assert head.registration is not None
    return replace(head, affine=shift @ head.affine, registration=shift @ head.registration)


def without_nose(head: Head) -> Head:
    voxels = head.voxels.copy()
    voxels[NOSE_AT_4_MM] = 0
    return head.with_voxels(voxels)


@pytest.fixture(scope="module")
def person() -> Head:
    """The template's mean head at 4 mm, which lies on itself."""
    head = template_head()
    return Head(head.voxels[::2, ::2, ::2], head.affine @ np.diag([2, 2, 2, 1]), "person", registration=np.eye(4))


@pytest.fixture(scope="module")
def alone() -> Voxels:
    return average_head(())


@pytest.fixture(scope="module")
def of_one(person: Head) -> Voxels:
    return average_head([person])


def assert_same(one: Voxels, other: Voxels) -> None:
    """The same up to the skin, which moves by a fraction of a voxel when the threshold does."""
    difference = np.abs(one - other)
    assert np.isfinite(one).all()
    assert np.quantile(difference, 0.995) < 0.01
    assert difference.mean() < 0.002


def nose(average: Voxels) -> float:
    return float(average[:, :, BELOW:][NOSE].mean())


def test_without_heads_it_is_the_template(alone: Voxels) -> None:
    inside = alone[:, :, BELOW:] > 0.5
    ratio = template_head().voxels[inside] / alone[:, :, BELOW:][inside]
    np.testing.assert_allclose(ratio, np.median(ratio), rtol=0.15)
    assert alone.shape == (88, 128, 128 + BELOW)


def test_it_lies_in_the_template() -> None:
    corner = average_affine() @ [0, 0, BELOW, 1]
    np.testing.assert_allclose(corner, template_head().affine[:, 3])


def test_its_brain_measures_one_and_its_air_nothing(alone: Voxels) -> None:
    brain = alone[:, :, BELOW:][template_brain().voxels > 0.5]
    assert np.median(brain) == pytest.approx(1, abs=0.01)
    assert alone.min() == 0
    assert np.median(alone[:, -3:]) == 0
    assert alone.dtype == np.float32


def test_ears_and_noses_end_inside_the_grid(alone: Voxels) -> None:
    assert not alone[0].any()
    assert not alone[-1].any()
    assert not alone[:, -1].any()


def test_moved_and_cropped_copies_of_one_head_average_to_it(person: Head, of_one: Voxels) -> None:
    copies = [moved(cropped(person, corner), (3.3 * i, -7.0, 40.0)) for i, corner in enumerate([(0, 2, 1), (2, 0, 4)])]
    assert_same(average_head(copies), of_one)


@settings(max_examples=3, deadline=None)
@given(gain=st.floats(0.01, 100), offset=st.floats(-5, 5))
def test_the_scanners_scale_does_not_matter(person: Head, of_one: Voxels, gain: float, offset: float) -> None:
    other = person.with_voxels(np.float32(gain) * (person.voxels + np.float32(100 * offset)))
    assert_same(average_head([other]), of_one)


def test_the_order_does_not_matter(person: Head) -> None:
    heads = [person, without_nose(person), moved(cropped(person, (0, 0, 10)), (1, 2, 3))]
    np.testing.assert_allclose(average_head(heads), average_head(heads[::-1]), atol=1e-5)


def test_the_majority_decides_where_the_skin_is(person: Head, of_one: Voxels) -> None:
    cut = without_nose(person)
    # A plain mean would lose a third.
    assert nose(average_head([person, person, cut])) == pytest.approx(nose(of_one), rel=0.1)
    assert nose(average_head([person, cut, cut])) < 0.05 * nose(of_one)


def test_beyond_the_field_of_view_is_not_air(person: Head, of_one: Voxels) -> None:
    above_the_mouth = [cropped(person, (0, 0, 22))] * 2
    average = average_head([*above_the_mouth, person])
    np.testing.assert_array_equal(average[:, :, : BELOW + 44], of_one[:, :, : BELOW + 44])


def test_where_nobody_looks_the_template_goes_on(person: Head, alone: Voxels) -> None:
    average = average_head([cropped(person, (0, 0, 22))])
    np.testing.assert_array_equal(average[:, :, : BELOW + 44], alone[:, :, : BELOW + 44])


def test_one_head_at_a_time_is_in_memory(person: Head) -> None:
    alive: list[weakref.ref[Head]] = []

    def heads() -> Iterator[Head]:
        for _ in range(3):
            gc.collect()
            assert not any(reference() for reference in alive)
            head = replace(person)
            alive.append(weakref.ref(head))
            yield head
            del head

    average_head(heads())
    assert len(alive) == 3


def test_the_heads_are_only_read(person: Head) -> None:
    before = person.voxels.copy()
    before.flags.writeable = False
    average_head([person.with_voxels(before)])
    np.testing.assert_array_equal(person.voxels, before)


def test_a_head_whose_registration_misses_is_named(person: Head) -> None:
    lost = np.eye(4)
    lost[:3, 3] = 1000
    with pytest.raises(DataError, match="somebody has no brain where its registration says"):
        average_head([replace(person, subject="somebody", registration=lost)])
