"""The brain mask: right on real people, the same everywhere, quiet, and honest where there is no brain."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from refbench.anonymizers import registration
from refbench.anonymizers.brain import brain_of, brain_versions, deepbet_brain, grown
from refbench.anonymizers.template import template_brain, template_head
from refbench.errors import DataError
from refbench.types import Head, Mask

RNG = np.random.default_rng(0)


def dice(a: Mask, b: Mask) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


@pytest.fixture(scope="module")
def brain() -> Mask:
    """What deepbet sees in the template's head."""
    head = template_head()
    return deepbet_brain(Head(head.voxels, head.affine))


def test_the_brain_of_the_template(brain: Mask, template: Head) -> None:
    assert brain.shape == template.voxels.shape
    assert brain.dtype == bool
    assert dice(brain, template_brain().voxels > 0.5) > 0.9


@pytest.mark.slow
def test_scale_background_memory_maps_and_warnings_change_nothing(brain: Mask, template: Head, tmp_path, capfd) -> None:
    np.save(tmp_path / "voxels.npy", template.voxels * 8 - 256)
    mapped = np.load(tmp_path / "voxels.npy", mmap_mode="r")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(deepbet_brain(replace(template, voxels=mapped)), brain)
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
@pytest.mark.parametrize("factors", [(1.5, 1.5, 1.5), (0.5, 1, 0.7)])
def test_other_voxels_find_the_same_brain(brain: Mask, template: Head, factors: tuple[float, float, float]) -> None:
    from scipy import ndimage

    zoom = 1 / np.array(factors)
    voxels = ndimage.zoom(template.voxels, zoom, order=1, grid_mode=True, mode="nearest")
    expected = ndimage.zoom(brain.astype(np.float32), zoom, order=1, grid_mode=True, mode="nearest") > 0.5
    affine = template.affine @ np.diag([*factors, 1])
    assert dice(deepbet_brain(Head(voxels, affine)), expected) > 0.95


@pytest.mark.slow
def test_odd_edges(brain: Mask, template: Head) -> None:
    inside = np.s_[1:80, 3:126, 5:122]
    assert dice(deepbet_brain(replace(template, voxels=template.voxels[inside])), brain[inside]) > 0.97


@pytest.mark.slow
@pytest.mark.parametrize(
    "voxels",
    [
        RNG.normal(0, 1, (88, 128, 128)),
        np.abs(RNG.normal(0, 1, (60, 70, 80))),
        np.full((40, 50, 60), 3.0),
        np.pad(np.full((1, 1, 1), 1e9), 20),
        np.zeros((1, 50, 60)),
        RNG.normal(0, 1, (1, 50, 60)),
    ],
    ids=["noise", "noise of magnitudes", "constant", "one bright voxel", "empty slice", "slice of noise"],
)
def test_where_no_brain_is_the_error_says_what_to_do(voxels: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"(?s)sub-7.*Check that the volume is a whole head, T1-weighted"):
        deepbet_brain(Head(voxels.astype(np.float32), np.diag([2.0, 2, 2, 1]), "sub-7"))


def test_what_the_harness_has_computed_is_taken(template: Head, monkeypatch: pytest.MonkeyPatch) -> None:
    known = np.zeros(template.voxels.shape, dtype=bool)
    assert brain_of(replace(template, brain=known)) is known
    monkeypatch.setattr(registration, "register", lambda head: pytest.fail("registered again"))
    np.testing.assert_array_equal(brain_of(template, "template"), template_brain().voxels > 0.5)


@given(arrays(bool, array_shapes(min_dims=3, max_dims=3, max_side=7)), st.floats(0, 12))
def test_a_grown_mask_reaches_as_far_as_its_margin(mask: Mask, margin_mm: float) -> None:
    voxel_mm = np.array([1.0, 2.0, 0.7])
    result = grown(mask, voxel_mm, margin_mm)
    assert result.shape == mask.shape
    assert (result | ~mask).all()
    points = np.argwhere(mask) * voxel_mm
    everywhere = np.argwhere(np.ones_like(mask)) * voxel_mm
    apart_mm = np.linalg.norm(everywhere[:, None] - points, axis=2).min(axis=1, initial=np.inf)
    sure = np.abs(apart_mm - margin_mm) > 1e-6
    np.testing.assert_array_equal(result.ravel()[sure], (apart_mm <= margin_mm)[sure])


def test_versions_say_what_decides_a_mask() -> None:
    assert set(brain_versions()) == {"deepbet"}
    assert set(brain_versions("template")) == {"niimath", "pydeface"}


@pytest.mark.slow
def test_a_machine_without_tkinter_and_a_forked_process_find_the_same_brain(brain: Mask, tmp_path) -> None:
    script = """
import multiprocessing, sys
sys.modules["tkinter"] = None
import numpy as np
from refbench.anonymizers.brain import deepbet_brain
from refbench.anonymizers.template import template_head
from refbench.types import Head

def work(path):
    head = template_head()
    np.save(path, deepbet_brain(Head(head.voxels, head.affine)))

process = multiprocessing.get_context("fork").Process(target=work, args=(sys.argv[1],))
process.start()
process.join(120)
sys.exit(process.exitcode)
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "brain.npy")], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    np.testing.assert_array_equal(np.load(tmp_path / "brain.npy"), brain)


@pytest.mark.slow
def test_real_brains_are_those_of_an_independent_network(
    ixi_heads: list[Head], prepared: Callable[[Head], Head]
) -> None:
    for head in ixi_heads:
        truth, found = head.labels["brain"], prepared(head).brain
        assert dice(found, truth) > 0.97, head.subject
        assert not (truth & ~grown(found, head.voxel_mm, 6)).any(), head.subject
        assert dice(brain_of(head, "template"), truth) > 0.9, head.subject


@pytest.mark.slow
@pytest.mark.parametrize("letter", ["a", "b", "c"])
def test_brains_of_the_three_heads(real_head, prepared: Callable[[Head], Head], letter: str) -> None:
    head = real_head(letter)
    litres = prepared(head).brain.sum() * np.prod(head.voxel_mm) / 1e6
    assert 1.3 < litres < 1.7
