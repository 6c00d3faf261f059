"""What is lost when slices are stored with fewer bytes, and that nothing is lost on the way otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from conftest import Workplace
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from refbench.errors import NobodyLeft
from refbench.jobs.task import gather
from refbench.plan import build_plan
from refbench.slice_storage import LARGEST_ERROR, Storage, decode, encode
from refbench.store import Store
from refbench.suite import load_suite

IMAGES = arrays(np.float32, (2, 4, 4), elements=st.floats(0, 1, width=32))
ROUNDING = 2.0**-24
"""Of a float32 below 1."""


@pytest.mark.parametrize("storage", get_args(Storage))
@given(images=IMAGES)
def test_no_pixel_is_off_by_more_than_half_a_step(storage: Storage, images: np.ndarray) -> None:
    stored = encode(images, storage)
    assert stored.dtype == storage
    read = decode(stored)
    assert read.dtype == np.float32
    assert 0 <= read.min() <= read.max() <= 1
    assert np.abs(read.astype(np.float64) - images).max() <= LARGEST_ERROR[storage] + ROUNDING
    np.testing.assert_array_equal(encode(read, storage), stored)  # once is enough


@pytest.mark.parametrize("storage", get_args(Storage))
def test_the_stated_error_is_reached_and_0_and_1_are_exact(storage: Storage) -> None:
    images = np.linspace(0, 1, 1_000_001, dtype=np.float32)
    read = decode(encode(images, storage))
    assert (read[0], read[-1]) == (0, 1)
    off = np.abs(read.astype(np.float64) - images).max()
    assert off == pytest.approx(LARGEST_ERROR[storage], rel=0.02, abs=0)


def test_eight_bits_in_a_byte_lose_nothing_more() -> None:
    images = np.random.default_rng(0).random((3, 16, 16), dtype=np.float32)
    quantised = np.asarray(np.round(images * 255) / 255, dtype=np.float32)  # as `bits: 8` does
    np.testing.assert_array_equal(decode(encode(quantised, "uint8")), quantised)


def test_masks_and_images_of_several_scans_become_one_array_in_order(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    folders, images, masks = [tmp_path / name for name in "abc"], [], []
    for folder, count in zip(folders, (2, 1, 3), strict=True):
        folder.mkdir()
        images.append(np.round(rng.random((count, 4, 4), dtype=np.float32) * 255) / np.float32(255))
        masks.append(rng.random((count, 4, 4)) > 0.5)
        np.save(folder / "original.npy", encode(images[-1], "uint8"))
        np.save(folder / "face.npy", masks[-1])
    np.testing.assert_array_equal(gather(folders, "original"), np.concatenate(images))
    np.testing.assert_array_equal(gather(folders, "face"), np.concatenate(masks))
    assert gather(folders, "face").dtype == bool
    with pytest.raises(NobodyLeft):
        gather([], "face")


def test_another_storage_changes_all_keys_of_slices_and_no_other(workplace: Workplace) -> None:
    usual = "slices: {count: 3, size: 24, spacing_mm: 8"
    plans = [
        build_plan(load_suite(str(workplace.suite(f"{usual}{more}}}"))), Store(workplace.folder / "store"))
        for more in ("", ", storage: float32", ", storage: uint8")
    ]
    slices = [[scan.slices[0].key for scan in plan.scans] for plan in plans]
    assert slices[0] == slices[1]
    assert not set(slices[0]) & set(slices[2])
    assert [scan.anonymized[0].key for scan in plans[0].scans] == [scan.anonymized[0].key for scan in plans[2].scans]


@pytest.mark.slow
def test_a_suite_runs_on_bytes_and_ends_near_where_it_ends_on_floats(workplace: Workplace) -> None:
    store, correlations = Store(workplace.folder / "store"), {}
    for storage in ("float32", "uint8"):
        path = workplace.suite(f"slices: {{count: 3, size: 24, spacing_mm: 8, storage: {storage}}}")
        result = workplace.refbench("run", path)
        assert result.returncode == 0, result.stderr
        plan = build_plan(load_suite(str(path)), store)
        folder = store.folder(plan.scans[0].slices[0].key)
        assert np.load(folder / "original.npy").dtype == storage
        correlations[storage] = np.load(store.folder(plan.cells[0].scores[0].key) / "scores.npy")
    np.testing.assert_allclose(correlations["uint8"], correlations["float32"], atol=0.01)
