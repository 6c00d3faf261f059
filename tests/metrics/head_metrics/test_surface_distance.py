import numpy as np
import pytest
from synthetic_heads import synthetic_head

from refbench.anonymizers.outer_surface import outer_surface
from refbench.errors import DataError
from refbench.geometry import skin_threshold
from refbench.metrics.head_metrics.base import HeadPair, Skin
from refbench.metrics.head_metrics.surface_distance import SurfaceDistance, skin_distance
from refbench.types import Head


def sphere(radius: float, count: int = 8000) -> np.ndarray:
    """Points spread evenly over a sphere around the origin (a Fibonacci lattice)."""
    step = np.arange(count) + 0.5
    height, turn = 1 - 2 * step / count, np.pi * (1 + 5**0.5) * step
    across = np.sqrt(1 - height**2)
    points = radius * np.stack([across * np.cos(turn), across * np.sin(turn), height], axis=1)
    return points.astype(np.float32)


def skins(original: Skin, candidate: Skin) -> HeadPair:
    """A pair whose skins are given; the volumes are of no interest."""
    first = synthetic_head((8.0, 8.0, 8.0))
    second = first.with_voxels(first.voxels.copy())
    return HeadPair(
        first, second, None, lambda head: head.labels["brain"], lambda h: original if h is first else candidate
    )


def named(points: np.ndarray, part: str = "nose") -> Skin:
    return Skin(points, np.full(len(points), part))


@pytest.mark.parametrize("grown", [-6.0, 2.0, 10.0])
def test_two_spheres(grown: float) -> None:
    figures = SurfaceDistance().measure(skins(named(sphere(60)), named(sphere(60 + grown))))
    for figure in ("face_mean_mm", "face_p95_mm", "nose_mean_mm", "nose_p95_mm"):
        assert figures[figure] == pytest.approx(abs(grown), abs=0.3)
    assert np.isnan(figures["chin_mean_mm"])


def test_identical_skins_and_all_figures() -> None:
    points = sphere(60, 2000)
    part = np.array(["nose", "eyes", "mouth", "chin", "ears"])[np.arange(2000) % 5]
    figures = SurfaceDistance().measure(skins(Skin(points, part), named(points, "")))
    assert figures == dict.fromkeys(SurfaceDistance.figures, 0.0)


def test_ears_are_no_part_of_the_face() -> None:
    front = sphere(10, 500) + np.float32([0, 100, 0])
    ears = sphere(10, 500) + np.float32([80, 0, 0])
    original = Skin(np.concatenate([front, ears]), np.repeat(["mouth", "ears"], 500))
    candidate = named(np.concatenate([front, ears + np.float32([15, 0, 0])]), "")
    figures = SurfaceDistance().measure(skins(original, candidate))
    assert figures["face_mean_mm"] == figures["mouth_p95_mm"] == 0
    assert figures["ears_mean_mm"] > 0


def test_a_face_without_named_parts_is_all_of_it() -> None:
    figures = SurfaceDistance().measure(skins(named(sphere(50), ""), named(sphere(53), "")))
    assert figures["face_mean_mm"] == pytest.approx(3, abs=0.2)
    assert np.isnan(figures["nose_mean_mm"])


def test_exchange_changes_nothing_where_all_is_chosen_and_met() -> None:
    rng = np.random.default_rng(0)
    first = sphere(60, 500)
    second = (first + rng.normal(0, 0.3, first.shape)).astype(np.float32)
    everything = np.ones(500, bool)
    assert skin_distance(first, second, everything) == pytest.approx(skin_distance(second, first, everything))


def test_removed_nose_is_measured_to_what_lies_behind_it() -> None:
    across = np.arange(-40, 41, 2.0)
    plane = np.stack([axis.ravel() for axis in np.meshgrid(across, [0.0], across)], axis=1).astype(np.float32)
    inside = np.hypot(plane[:, 0], plane[:, 2]) < 15
    nose = plane + np.where(inside, 25, 0)[:, None].astype(np.float32) * np.float32([0, 1, 0])
    original = Skin(nose, np.where(inside, "nose", "eyes"))
    figures = SurfaceDistance().measure(skins(original, named(plane, "")))
    # There, 25 mm straight back; and back from the hole's middle, to its rim.
    assert 12 < figures["nose_mean_mm"] < 25
    assert figures["nose_p95_mm"] == pytest.approx(25, abs=0.1)
    assert figures["eyes_mean_mm"] == 0


@pytest.mark.parametrize("grown", [0.0, 3.0])
def test_skin_of_volumes_moves_by_what_the_head_grew(grown: float) -> None:
    original = synthetic_head((3.0, 3.0, 3.0))
    candidate = synthetic_head((3.0, 3.0, 3.0), change=lambda points, sdf: sdf - grown)
    threshold = skin_threshold(original.voxels)

    def find_skin(head: Head) -> Skin:
        box = (slice(None), slice(head.voxels.shape[1] // 2, None), slice(None))
        points = outer_surface(head.voxels, head.affine, box, threshold).mean(axis=1)
        return named(points, "")

    pair = HeadPair(original, candidate, None, lambda head: head.labels["brain"], find_skin)
    figures = SurfaceDistance().measure(pair)
    assert figures["face_mean_mm"] == pytest.approx(grown, abs=0.25)
    assert figures["face_p95_mm"] < grown + 1


def test_no_skin_is_an_error_that_says_which() -> None:
    nothing = Skin(np.zeros((0, 3), np.float32), np.zeros(0, "<U5"))
    with pytest.raises(DataError, match="the candidate has no skin"):
        SurfaceDistance().measure(skins(named(sphere(60, 100)), nothing))
