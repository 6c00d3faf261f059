"""Does a recognizer keep its contract? It is taught toy faces, a few times, and shown others.

One that has a parameter `steps` trains for `BRIEF` steps: it is judged by how it behaves, not by what it learns.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from refbench.metrics.recognizers.base import Faces, Matcher, Recognizer, Relief, Similarities
from refbench.metrics.recognizers.grid import COLUMNS, ROWS
from refbench.testing import Attempt, Check, found, lasting, other_formats

TRAIN, TEST = (8, 1), (4, 2)
"""People, and the seed they are made from."""

BRIEF = 20

BUMPS_MM, LOOK_MM, SMOOTH = 4.0, 0.3, 7.0
"""Standard deviations of what is a person's own and of what differs between two looks, mm; and how smooth both are."""

ROUNDING = 1e-3
"""Largest difference, as a share of all that a recognizer tells apart, that is put down to batches of another size."""

RUNS = "learns from training people, and gives float64 similarities, probes by gallery"
INPUT = "leaves the faces it is given alone"
UNPLACED = "gives NaN for a face that could not be placed, and for no other"
HIDDEN = "gives a number or NaN where part of a face is gone"
SEED = "learns the same for the same generator state, and answers the same each time"
SAVED = "saves and loads to the same similarities, without pickle"
ALONE = "compares two faces as if the others were not there"
ITSELF = "finds no face more alike to a face than itself"
LACKING = "learns from people of whom some faces could not be placed"


def check_recognizer(recognizer: Recognizer) -> Iterator[Check]:
    """Try a recognizer on toy faces, rule by rule.

    Yields:
        one check per rule, as soon as it is known. When the first fails the others are not tried.
    """
    recognizer, given = lasting(recognizer, BRIEF), deepcopy(_people())
    first = Attempt.at(lambda: _Taught.on(recognizer, given))
    problem = first.problem or found(lambda: _no_similarities(first.made))
    yield Check(RUNS, problem)
    if problem or first.made is None:
        return
    taught = first.made
    yield Check(INPUT, found(lambda: _written(given)))
    yield Check(UNPLACED, found(lambda: _misplaced(taught)))
    yield Check(HIDDEN, found(lambda: _infinite(taught)))
    yield Check(SEED, found(lambda: _random(recognizer, taught)))
    yield Check(SAVED, found(lambda: _lost(recognizer, taught)))
    yield Check(ALONE, found(lambda: _influenced(taught)))
    yield Check(ITSELF, found(lambda: _not_itself(taught)))
    yield Check(LACKING, Attempt.at(lambda: _Taught.on(recognizer, _people(), lacking=True)).problem)


def recognised(recognizer: Recognizer) -> str:
    """How many toy people it knows again, in one sentence: no rule, since what they lack may be what it looks at."""
    people = _people()
    similar = _Taught.on(lasting(recognizer, BRIEF), people).similarities[people.probes.placed][
        :, people.gallery.placed
    ]
    known = int((np.nan_to_num(similar, nan=-np.inf).argmax(axis=1) == np.arange(len(similar))).sum())
    brief = f", after {BRIEF} steps" if "steps" in type(recognizer).model_fields else ""
    return f"Of {len(similar)} toy people it knows {known} by another look at them{brief}"


@dataclass(frozen=True)
class _People:
    """Toy people: two looks at each who trains; of each who is tested one in the gallery, and one as a probe.

    Of the gallery the last could not be placed, and of the probes the first and another at the end.
    """

    train: Faces
    whose: NDArray[np.int64]
    gallery: Faces
    probes: Faces


@lru_cache(maxsize=1)
def _people() -> _People:
    """The same for all that is tried, write-protected."""
    first, second = (_looks(*TRAIN, look) for look in (1, 2))
    unplaced = np.full((1, ROWS, COLUMNS), np.nan, np.float32)
    gallery, probes = _looks(*TEST, 1), _looks(*TEST, 2)
    people = _People(
        Faces(np.stack([first, second], axis=1).reshape(-1, ROWS, COLUMNS)),
        np.repeat(np.arange(TRAIN[0]), 2),
        Faces(np.concatenate([gallery, unplaced])),
        Faces(np.concatenate([unplaced, probes, unplaced])),
    )
    for array in (people.train.relief, people.whose, people.gallery.relief, people.probes.relief):
        array.setflags(write=False)
    return people


def _looks(people: int, seed: int, look: int) -> Relief:
    """An ellipsoid with a nose, smooth bumps that are the person's own, and small ones of this look at it."""
    reliefs = []
    for person in range(people):
        own, now = (np.random.default_rng([seed, person, which]) for which in (0, look))
        reliefs.append(_mean_face(edge=own.normal(1, 0.02)) + _bumps(own, BUMPS_MM) + _bumps(now, LOOK_MM))
    return np.array(reliefs, dtype=np.float32)


def _mean_face(edge: float) -> NDArray[np.float64]:
    """float64 [rows, columns], mm before the tip of the nose; NaN beside the face."""
    down, across = np.mgrid[-1 : 1 : ROWS * 1j, -1 : 1 : COLUMNS * 1j]
    away = (down / (0.95 * edge)) ** 2 + (across / (0.9 * edge)) ** 2
    skin = 90 * np.sqrt(np.where(away < 1, 1 - away, np.nan)) - 115
    eyes = sum(np.exp(-(((down + 0.35) / 0.1) ** 2) - ((across - side) / 0.18) ** 2) for side in (-0.4, 0.4))
    nose = np.exp(-((across / 0.16) ** 2) - ((down + 0.05) / 0.25) ** 2)
    mouth = np.exp(-(((down - 0.4) / 0.06) ** 2) - (across / 0.25) ** 2)
    return np.asarray(skin + 25 * nose - 10 * eyes - 4 * mouth)


def _bumps(rng: np.random.Generator, size_mm: float) -> NDArray[np.float64]:
    from scipy import ndimage

    rough = ndimage.gaussian_filter(rng.normal(size=(ROWS, COLUMNS)), SMOOTH)
    return np.asarray(size_mm * rough / rough.std())


@dataclass(frozen=True)
class _Taught:
    """What a recognizer learnt, and how alike it finds the test people."""

    matcher: Matcher
    similarities: Similarities

    @classmethod
    def on(cls, recognizer: Recognizer, people: _People, *, lacking: bool = False) -> _Taught:
        train = people.train
        if lacking:
            relief = train.relief.copy()
            relief[[1, 4, 5]] = np.nan  # one person's second look, and both of another
            train = Faces(relief)
        matcher = recognizer.fit(train, people.whose, np.random.default_rng(0))
        return cls(matcher, matcher.similarity(people.probes, people.gallery))


def _no_similarities(taught: _Taught | None) -> str:
    people = _people()
    shape = (len(people.probes), len(people.gallery))
    made = taught.similarities if taught else None
    if not isinstance(made, np.ndarray) or made.shape != shape or made.dtype != np.float64:
        kind = f"{made.dtype} {made.shape}" if isinstance(made, np.ndarray) else type(made).__name__
        return f"it must give float64 {shape} for {shape[0]} probes and a gallery of {shape[1]}, not {kind}"
    return ""


def _written(given: _People) -> str:
    kept = _people()
    for name in ("train", "gallery", "probes"):
        if not np.array_equal(getattr(given, name).relief, getattr(kept, name).relief, equal_nan=True):
            return f"it wrote into the faces of {name}; copy before writing"
    return "" if np.array_equal(given.whose, kept.whose) else "it wrote into `people`; copy before writing"


def _misplaced(taught: _Taught) -> str:
    people = _people()
    placed = people.probes.placed[:, None] & people.gallery.placed
    if np.isfinite(taught.similarities[~placed]).any():
        return "it compares faces that are not there; see `Faces.placed`"
    without = int((~np.isfinite(taught.similarities[placed])).sum())
    return f"{without} of {int(placed.sum())} pairs of whole faces give NaN or infinity" if without else ""


def _infinite(taught: _Taught) -> str:
    people = _people()
    relief = people.probes.relief.copy()
    relief[1, ROWS // 3 : 2 * ROWS // 3] = np.nan
    relief[2, ROWS // 2 :] = np.nan
    relief[3, np.arange(ROWS) != ROWS // 2] = np.nan
    similar = taught.matcher.similarity(Faces(relief), people.gallery)
    return "it gives infinity; give NaN where two faces cannot be compared" if np.isinf(similar).any() else ""


def _random(recognizer: Recognizer, taught: _Taught) -> str:
    people = _people()
    again = taught.matcher.similarity(people.probes, people.gallery)
    if not np.array_equal(again, taught.similarities, equal_nan=True):
        return "the same faces come out otherwise when asked again; draw nothing there (dropout?)"
    if not np.array_equal(_Taught.on(recognizer, people).similarities, again, equal_nan=True):
        return "taught again with the same generator state it ends elsewhere; draw random numbers from `rng` alone"
    return ""


def _lost(recognizer: Recognizer, taught: _Taught) -> str:
    people = _people()
    with TemporaryDirectory() as name:
        folder = Path(name)
        taught.matcher.save(folder)
        if other := other_formats(folder):
            return other
        loaded = recognizer.load(folder).similarity(people.probes, people.gallery)
    changed = int((~np.isclose(loaded, taught.similarities, rtol=0, atol=0, equal_nan=True)).sum())
    return f"{changed} of {loaded.size} similarities differ once it is loaded" if changed else ""


def _influenced(taught: _Taught) -> str:
    people, similar = _people(), taught.similarities
    spread = float(np.nanmax(similar) - np.nanmin(similar))
    for row, column in ((1, 0), (2, 3)):
        probe, face = people.probes.take(slice(row, row + 1)), people.gallery.take(slice(column, column + 1))
        alone = taught.matcher.similarity(probe, face)
        if not np.allclose(alone, similar[row, column], rtol=0, atol=ROUNDING * spread, equal_nan=True):
            return f"the similarity of one pair is {alone.item():.6g} alone, {similar[row, column]:.6g} among others"
    return ""


def _not_itself(taught: _Taught) -> str:
    people = _people()
    faces = people.gallery.take(people.gallery.placed)
    similar = taught.matcher.similarity(faces, faces)
    spread = float(np.nanmax(similar) - np.nanmin(similar))
    own = np.diag(similar)
    wrong = int((~(np.nanmax(similar, axis=1) - own <= ROUNDING * spread)).sum())
    return f"{wrong} of {len(faces)} faces are more alike to another; the larger, the more alike" if wrong else ""
