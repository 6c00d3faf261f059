"""One head in many forms, each through a real file."""

from __future__ import annotations

from itertools import permutations, product
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from pydantic import ValidationError

from refbench.datasets.variants import FORMS, Form, Variants, reformed, stored, write_form
from refbench.types import Head

PAIRS = ("RL", "AP", "SI")


@pytest.fixture(scope="module")
def cohort() -> dict[str, Head]:
    dataset = Variants(scale=0.2, forms=tuple(name for name in FORMS if name != "voxels_0.7"))
    return {scan.subject: dataset.load(scan) for scan in dataset.scans()}


def litres(head: Head, label: str) -> float:
    return float(head.labels[label].sum() * np.prod(head.voxel_mm) / 1e6)


def test_how_a_head_is_stored_changes_nothing(cohort: dict[str, Head]) -> None:
    plain = cohort["as_it_is"]
    for name in ("stored_LPI", "stored_PSR", "stored_IRA", "float64", "one_of_4d"):
        np.testing.assert_array_equal(cohort[name].voxels, plain.voxels)
        np.testing.assert_allclose(cohort[name].affine, plain.affine, atol=1e-4)
        np.testing.assert_array_equal(cohort[name].labels["brain"], plain.labels["brain"])


def test_every_axis_order_and_flip_is_read_back_as_the_same_head() -> None:
    rng = np.random.default_rng(0)
    head = Head(rng.uniform(0, 100, (5, 6, 7)).astype(np.float32), np.diag([1.0, 2.0, 3.0, 1.0]))
    codes = {"".join(code) for pairs in permutations(PAIRS) for code in product(*pairs)}
    assert len(codes) == 48
    for axes in codes:
        read = stored(head, Form(axes=axes))
        np.testing.assert_array_equal(read.voxels, head.voxels)
        np.testing.assert_allclose(read.affine, head.affine, atol=1e-5)


def test_the_file_really_has_the_form(tmp_path: Path) -> None:
    voxels = np.random.default_rng(0).uniform(0, 100, (5, 6, 7)).astype(np.float32)
    write_form(tmp_path / "a.nii", voxels, np.eye(4), Form(axes="PSR", dtype="scaled", volumes=True))
    image = nib.load(tmp_path / "a.nii")
    assert nib.aff2axcodes(image.affine) == ("P", "S", "R")
    assert image.shape == (6, 7, 5, 1)
    assert image.get_data_dtype() == np.int16
    assert image.dataobj.slope != 1


def test_brain_and_face_keep_their_size_in_every_grid(cohort: dict[str, Head]) -> None:
    brain = litres(cohort["as_it_is"], "brain")
    for name in ("oblique_10", "oblique_30", "oblique_30_about_z", "voxels_3", "axial_slabs_5", "sagittal_slabs_4"):
        assert litres(cohort[name], "brain") == pytest.approx(brain, rel=0.02), name
    assert litres(cohort["huge_head"], "brain") == pytest.approx(brain * 1.2**3, rel=1e-3)
    np.testing.assert_allclose(cohort["axial_slabs_5"].voxel_mm, [1, 1, 5], atol=1e-3)


def test_an_oblique_head_stays_where_it_is_in_the_world(cohort: dict[str, Head]) -> None:
    def centre(head: Head) -> np.ndarray:
        return head.affine[:3, :3] @ np.argwhere(head.labels["brain"]).mean(axis=0) + head.affine[:3, 3]

    for name in ("oblique_10", "oblique_30", "oblique_30_about_z", "sagittal_slabs_4"):
        np.testing.assert_allclose(centre(cohort[name]), centre(cohort["as_it_is"]), atol=1.5)


def test_what_is_cut_off_is_missing(cohort: dict[str, Head]) -> None:
    plain = cohort["as_it_is"]
    assert litres(cohort["no_chin"], "face") < 0.9 * litres(plain, "face")
    assert litres(cohort["no_chin"], "brain") == pytest.approx(litres(plain, "brain"), rel=1e-3)
    assert cohort["no_nose_tip"].voxels.shape[1] < plain.voxels.shape[1]
    assert cohort["negative"].voxels.min() < 0
    assert np.median(cohort["raised_background"].voxels) > np.median(plain.voxels)


def test_forms_are_checked() -> None:
    with pytest.raises(ValidationError, match="no form 'upside_down'"):
        Variants(forms=("upside_down",))


def test_a_plain_form_is_the_head_itself(cohort: dict[str, Head]) -> None:
    plain = cohort["as_it_is"]
    np.testing.assert_array_equal(reformed(plain, Form()).voxels, plain.voxels)
