"""Pictures of faces, and the networks that know faces in them or in reliefs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from refbench.datasets.phantom import Phantom
from refbench.errors import DataError, StoreError, Unavailable
from refbench.metrics.head_metrics.base import HeadPair
from refbench.metrics.head_metrics.face_seen import FaceSeen
from refbench.metrics.recognizers import dlib_models
from refbench.metrics.recognizers.base import Faces, Relief
from refbench.metrics.recognizers.dlib_network import SIZE, DlibNetwork, photograph
from refbench.metrics.recognizers.embedding import FILE, Embedding
from refbench.metrics.recognizers.grid import COLUMNS, ROWS
from refbench.metrics.recognizers.render import AMBIENT, LIGHT, shaded
from refbench.metrics.recognizers.smoothing import smoothed
from refbench.types import Head

needs_dlib = pytest.mark.skipif(bool(DlibNetwork().missing()), reason=DlibNetwork().missing())

DOWN, RIGHT = np.mgrid[-(ROWS - 1) / 2 : ROWS / 2, -(COLUMNS - 1) / 2 : COLUMNS / 2]


def made_up_face(seed: int) -> Relief:
    """An egg with a nose, two eyes and a few smooth bumps of its own."""
    rng = np.random.default_rng(seed)
    squared = 1 - (RIGHT / 72) ** 2 - (DOWN / 95) ** 2
    relief = 75 * np.sqrt(np.maximum(squared, 0)) - 95
    for row, column, width, height in [(0, 0, 9, 20), (-32, 30, 12, -9), (-32, -30, 12, -9), (32, 0, 14, 5)]:
        relief += height * np.exp(-((DOWN - row) ** 2 + (RIGHT - column) ** 2) / (2 * width**2))
    for row, column, width in rng.uniform([-60, -45, 10], [60, 45, 20], (6, 3)):
        relief += rng.normal(0, 4) * np.exp(-((DOWN - row) ** 2 + (RIGHT - column) ** 2) / (2 * width**2))
    return np.where(squared > 0.02, relief, np.nan).astype(np.float32)


def scans(people: range, seed: int) -> Faces:
    """Each person scanned once more: other noise, and a small tilt."""
    rng = np.random.default_rng(seed)
    tilts = rng.normal(0, 0.02, (len(people), 2))
    faces = [
        made_up_face(person) + rng.normal(0, 0.3, (ROWS, COLUMNS)) + tilt[0] * DOWN + tilt[1] * RIGHT
        for person, tilt in zip(people, tilts, strict=True)
    ]
    return Faces(np.stack(faces).astype(np.float32))


def with_one_unplaced(faces: Faces) -> Faces:
    return Faces.joined([faces, Faces(np.full((1, ROWS, COLUMNS), np.nan, np.float32))])


def rank_1(similarity: NDArray[np.float64]) -> float:
    return float((similarity.argmax(axis=1) == np.arange(len(similarity))).mean())


def test_a_slope_is_as_bright_as_lamberts_cosine_says() -> None:
    slope = 0.3 * DOWN - 0.2 * RIGHT
    towards, up, left = np.array(LIGHT) / np.linalg.norm(LIGHT)
    facing = (towards + 0.3 * up - 0.2 * left) / np.sqrt(1 + 0.3**2 + 0.2**2)
    assert np.allclose(shaded(slope), AMBIENT + (1 - AMBIENT) * facing, atol=1e-5)
    # Of another size of pixels, the same relief is as much less steep.
    assert np.allclose(shaded(2 * slope, pixel_mm=2), shaded(slope), atol=1e-6)


def test_beside_the_skin_it_is_black_and_only_there() -> None:
    face = made_up_face(0)
    assert np.array_equal(shaded(face) > 0, np.isfinite(face))
    assert not shaded(np.full((9, 9), np.nan)).any()


def test_smoothing_keeps_planes_and_never_looks_beside_the_skin() -> None:
    level = np.full((ROWS, COLUMNS), 3, np.float32)
    level[:, :50] = np.nan
    assert np.allclose(smoothed(level, 5), level, equal_nan=True, atol=1e-5)


@needs_dlib
def test_dlib_tells_faces_apart_and_has_nothing_to_say_of_none(tmp_path: Path) -> None:
    matcher = DlibNetwork().fit(scans(range(4), 0), np.arange(4), np.random.default_rng(0))
    similarity = matcher.similarity(with_one_unplaced(scans(range(4), 1)), scans(range(4), 2))
    assert similarity.shape == (5, 4)
    assert np.isnan(similarity[4]).all()
    assert rank_1(similarity[:4]) == 1
    matcher.save(tmp_path)
    assert not list(tmp_path.iterdir())
    assert set(DlibNetwork().tool_versions()) == {"dlib", "face_recognition_models"}


def test_the_nose_lies_where_the_network_expects_it() -> None:
    relief = np.full((ROWS, COLUMNS), np.nan, np.float32)
    relief[ROWS // 2 - 6 : ROWS // 2 + 6, COLUMNS // 2 - 6 : COLUMNS // 2 + 6] = 0
    rows, columns = np.nonzero(photograph(relief))
    assert abs(rows.mean() - 80) < 1
    assert abs(columns.mean() - (SIZE - 1) / 2) < 1


def test_without_dlib_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dlib_models, "find_spec", lambda name: None)
    dlib_models.detector_network.cache_clear()
    for plugin in (DlibNetwork(), FaceSeen()):
        assert "refbench[faces]" in plugin.missing()
        assert plugin.tool_versions() == {}
    with pytest.raises(Unavailable, match="pip install"):
        dlib_models.detector_network()


def test_the_embedding_learns_from_few_people_and_comes_back_as_it_was(tmp_path: Path) -> None:
    train, test = range(10), range(10, 20)
    faces, people = Faces.joined([scans(train, 0), scans(train, 1)]), np.tile(np.arange(10), 2)
    recognizer = Embedding(steps=12, dimension=16)
    learnt = [recognizer.fit(faces, people, np.random.default_rng(5)) for _ in range(2)]
    probes, gallery = with_one_unplaced(scans(test, 2)), scans(test, 3)
    similarity = learnt[0].similarity(probes, gallery)
    assert np.array_equal(similarity, learnt[1].similarity(probes, gallery), equal_nan=True)
    assert np.isnan(similarity[10]).all()
    assert rank_1(similarity[:10]) >= 0.5
    assert np.allclose(np.diag(learnt[0].similarity(gallery, gallery)), 1, atol=1e-5)
    learnt[0].save(tmp_path)
    loaded = recognizer.load(tmp_path)
    assert np.array_equal(loaded.similarity(probes, gallery), similarity, equal_nan=True)
    (tmp_path / FILE).write_bytes(b"damaged")
    with pytest.raises(StoreError, match="train again"):
        recognizer.load(tmp_path)


def test_the_embedding_needs_two_people() -> None:
    with pytest.raises(DataError, match="fewer than two"):
        Embedding().fit(with_one_unplaced(scans(range(1), 0)), np.arange(2), np.random.default_rng(0))


@needs_dlib
def test_a_face_is_seen_and_the_back_of_a_head_is_none() -> None:
    dataset = Phantom(subjects=1, scale=0.35)
    head = dataset.load(dataset.scans()[0])
    faceless = head.voxels.copy()
    faceless[:, faceless.shape[1] // 2 :] = 0
    seen, unseen = (FaceSeen().measure(_pair(head, candidate)) for candidate in (head, head.with_voxels(faceless)))
    assert seen["face_seen"] == 1
    assert seen["detector_confidence"] > 0
    assert unseen == {"face_seen": 0, "detector_confidence": 0}


def _pair(original: Head, candidate: Head) -> HeadPair:
    return HeadPair(original, candidate, None, find_brain=pytest.fail, find_skin=pytest.fail)
