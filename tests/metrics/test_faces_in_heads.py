"""Faces are found in heads by their skin alone, wherever the head lies."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from refbench.datasets.phantom import Phantom
from refbench.errors import DataError
from refbench.metrics.recognizers.base import Faces
from refbench.metrics.recognizers.eigenface import Eigenface
from refbench.metrics.recognizers.frame import Frame, build_frame
from refbench.metrics.recognizers.grid import COLUMNS, ROWS
from refbench.metrics.recognizers.moved import moved
from refbench.metrics.recognizers.relief import face_of
from refbench.metrics.recognizers.surface import Surface
from refbench.types import Head


@cache
def phantoms() -> list[Head]:
    data = Phantom(subjects=3, scale=0.3)
    return [data.load(scan) for scan in data.scans()]


@cache
def frame() -> Frame:
    return build_frame(phantoms())


@cache
def faces() -> Faces:
    return Faces(np.stack([face_of(head, frame()) for head in phantoms()]))


@cache
def probes() -> Faces:
    rng = np.random.default_rng(0)
    return Faces(np.stack([face_of(moved(head, rng, 8, 8), frame()) for head in phantoms()]))


def test_the_mean_face_is_symmetric_with_the_tip_of_its_nose_at_the_origin() -> None:
    relief = frame().relief
    np.testing.assert_array_equal(relief, relief[:, ::-1])
    row, column = np.unravel_index(np.nanargmax(relief), relief.shape)
    assert abs(row - ROWS / 2) <= 2
    assert abs(column - COLUMNS / 2) <= 2
    assert abs(relief[row, column]) < 2


def test_a_moved_head_shows_the_same_relief() -> None:
    apart = np.abs(faces().relief - probes().relief)[:, 50:150, 30:110]
    assert np.isfinite(apart).mean() > 0.9
    assert np.nanmedian(apart) < 1.0  # voxels measure 3.4 mm


def test_another_brain_changes_no_bit_of_a_face() -> None:
    head = phantoms()[0]
    voxels, brain = head.voxels.copy(), head.labels["brain"]
    voxels[brain] = np.random.default_rng(0).permutation(voxels[brain]) * 1.5
    np.testing.assert_array_equal(face_of(head.with_voxels(voxels), frame()), faces().relief[0])


def test_the_scale_of_a_scanner_does_not_matter() -> None:
    head = phantoms()[0]
    np.testing.assert_allclose(face_of(head.with_voxels(head.voxels * 7), frame()), faces().relief[0], atol=0.3)


@pytest.mark.parametrize("level", [0.0, 40.0])
def test_a_head_without_anything_in_it_is_not_placed(level: float) -> None:
    blank = phantoms()[0].with_voxels(np.full_like(phantoms()[0].voxels, level))
    assert np.isnan(face_of(blank, frame())).all()
    assert np.isnan(face_of(moved(blank, np.random.default_rng(0)), frame())).all()
    with pytest.raises(DataError, match="no face was found"):
        build_frame([blank])


def test_no_voxel_of_a_moved_head_stays_and_chance_comes_from_the_generator() -> None:
    head = phantoms()[0]
    first, again = (moved(head, np.random.default_rng(1)) for _ in range(2))
    np.testing.assert_array_equal(first.voxels, again.voxels)
    margin = (np.array(first.voxels.shape) - head.voxels.shape) // 2
    same_place = tuple(slice(cut, cut + size) for cut, size in zip(margin, head.voxels.shape, strict=True))
    assert (first.voxels[same_place] == head.voxels).mean() < 1e-4


def test_a_frame_comes_back_from_its_file(tmp_path: Path) -> None:
    frame().save(tmp_path / "frame.npz")
    np.testing.assert_array_equal(Frame.load(tmp_path / "frame.npz").relief, frame().relief)


@pytest.mark.parametrize("recognizer", [Surface(), Eigenface()])
def test_recognizers_know_moved_heads_and_come_back_from_their_folder(
    recognizer: Surface | Eigenface, tmp_path: Path
) -> None:
    matcher = recognizer.fit(Faces.joined([faces(), probes()]), np.tile(np.arange(3), 2), np.random.default_rng(0))
    alike = matcher.similarity(probes(), faces())
    np.testing.assert_array_equal(alike.argmax(axis=1), np.arange(3))
    matcher.save(tmp_path)
    np.testing.assert_array_equal(recognizer.load(tmp_path).similarity(probes(), faces()), alike)


@pytest.mark.parametrize("recognizer", [Surface(), Eigenface()])
def test_what_is_not_placed_is_nan_and_what_shares_too_little_is_unlike(recognizer: Surface | Eigenface) -> None:
    matcher = recognizer.fit(Faces.joined([faces(), probes()]), np.tile(np.arange(3), 2), np.random.default_rng(0))
    relief = np.full((2, ROWS, COLUMNS), np.nan, np.float32)
    relief[1, 90:95, 70:75] = 0
    alike = matcher.similarity(Faces(relief), faces())
    assert np.isnan(alike[0]).all()
    assert np.isfinite(alike[1]).all()
    assert alike[1].max() < np.diag(matcher.similarity(faces(), faces())).min()


def test_the_surface_distance_of_a_face_to_itself_is_zero_and_to_its_mirror_image_not() -> None:
    matcher = Surface().fit(faces(), np.arange(3), np.random.default_rng(0))
    np.testing.assert_allclose(np.diag(matcher.similarity(faces(), faces())), 0, atol=1e-9)
    bent = faces().relief + np.linspace(-4, 4, COLUMNS, dtype=np.float32) ** 3 / 16
    assert matcher.similarity(Faces(bent), Faces(bent[:, :, ::-1])).max() < -0.2


def test_an_empty_gallery_gives_an_empty_table() -> None:
    matcher = Surface().fit(faces(), np.arange(3), np.random.default_rng(0))
    assert matcher.similarity(faces(), faces().take(slice(0, 0))).shape == (3, 0)
