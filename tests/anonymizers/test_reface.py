from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import ndimage

from refbench.anonymizers.average import BELOW, average_affine
from refbench.anonymizers.reface import Reface, composite, replaced_region, template_average
from refbench.anonymizers.regions import soft_edge
from refbench.anonymizers.registration import warp
from refbench.anonymizers.template import Atlas, template_brain, template_face, template_head
from refbench.geometry import air_level, head_mask
from refbench.types import AnonymizedHead, Head, Mask, Voxels

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def person() -> Head:
    """The template's mean head at 4 mm with a nose of its own, on a background that is not 0."""
    head = template_head()
    voxels = head.voxels[::2, ::2, ::2].copy()
    voxels[19:25, 56:63, 14:22] = 300
    return Head(voxels + 20, head.affine @ np.diag([2, 2, 2, 1]), "person", registration=np.eye(4))


@pytest.fixture(scope="module")
def afni_folder() -> Path:
    """AFNI's template, shells and weight."""
    usual = Path(__file__).resolve().parents[2] / ".." / "shared" / "afni_reface"
    folder = Path(os.environ.get("REFBENCH_AFNI_REFACE", usual)).resolve()
    if not folder.is_dir():
        pytest.skip(f"AFNI's refacing files not found: {folder} (set REFBENCH_AFNI_REFACE to their folder)")
    return folder


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Template, shell and weight like AFNI's, from the template's mean head; a world of half the size is faster."""
    folder = tmp_path_factory.mktemp("files")
    average, face = template_average()[::2, ::2, BELOW::2], template_face().voxels[::4, ::4, ::4] > 0.5
    volumes = {
        "template": template_head().voxels[::2, ::2, ::2],
        "shell": np.where(face, np.where(average > 0.1, average, -1), 0),
        "weight": 1 - 0.9 * face,
    }
    for name, voxels in volumes.items():
        nib.save(nib.Nifti1Image(voxels.astype(np.float32), half(person_affine())), folder / f"{name}.nii")
    return {name: folder / f"{name}.nii" for name in volumes}


def person_affine() -> np.ndarray:
    return template_head().affine @ np.diag([2, 2, 2, 1])


def half(affine: np.ndarray) -> np.ndarray:
    return np.diag([0.5, 0.5, 0.5, 1]) @ affine


def refaced(head: Head, how: Reface | None = None) -> Voxels:
    released = (how or Reface()).anonymize(head, RNG)
    if isinstance(released, AnonymizedHead):
        assert released.outcome == "ok"
        released = released.head
    assert released.voxels.dtype == np.float32
    assert np.isfinite(released.voxels).all()
    return released.voxels


def replaced(head: Head) -> Mask:
    return warp(replaced_region(), head) > 0.5


def test_outside_the_face_and_the_ears_no_bit_changes(person: Head) -> None:
    voxels = person.voxels.copy()
    voxels.flags.writeable = False
    released = refaced(person.with_voxels(voxels))
    np.testing.assert_array_equal(released[~replaced(person)], person.voxels[~replaced(person)])
    assert (released != person.voxels).sum() > 0.9 * replaced(person).sum()


def test_the_brain_is_not_touched(person: Head) -> None:
    brain = warp(template_brain(), person) > 0.5
    np.testing.assert_array_equal(refaced(person)[brain], person.voxels[brain])


def test_the_ears_are_replaced_and_keep_away_from_the_brain() -> None:
    region, brain = replaced_region().voxels > 0.5, template_brain()
    assert region[10, 112, 75]
    assert region[165, 112, 75]
    from_brain = ndimage.distance_transform_edt(brain.voxels < 0.5, sampling=2)
    assert from_brain[region[::2, ::2, ::2]].min() > 7


def test_the_face_is_the_average_on_the_own_air(person: Head) -> None:
    face = warp(Atlas(template_average(), average_affine()), person)
    whole = soft_edge(warp(replaced_region(), person), person.voxel_mm) == 1
    above_air = refaced(person)[whole] - air_level(person.voxels)
    tissue = face[whole] > 0.1
    np.testing.assert_allclose(above_air[~tissue], 0, atol=50)
    gain = above_air[tissue] / face[whole][tissue]
    np.testing.assert_allclose(gain, np.median(gain), rtol=1e-3)


def test_it_is_as_bright_as_the_face_that_was_there(person: Head) -> None:
    own = person.with_voxels(person.voxels.copy())
    tissue = head_mask(own.voxels, own.voxel_mm) & replaced(own)
    before, after = np.median(own.voxels[tissue]), np.median(refaced(own)[tissue])
    assert after == pytest.approx(before, rel=0.15)


def test_two_people_get_the_same_face(person: Head) -> None:
    voxels = person.voxels.copy()
    voxels[19:25, 56:63, 14:22] = 20
    other = person.with_voxels(voxels)

    def skin(voxels: Voxels) -> Mask:
        return head_mask(voxels, person.voxel_mm)[replaced(person)]

    before = (skin(person.voxels) != skin(other.voxels)).sum()
    after = (skin(refaced(person)) != skin(refaced(other))).sum()
    assert after < 0.1 * before


def test_the_training_subjects_face_is_taken(person: Head) -> None:
    noseless = template_average().copy()
    noseless[:, 112:] = 0
    released = refaced(replace(person, average=noseless))
    np.testing.assert_allclose(released[20:24, 58:63, 15:21], air_level(person.voxels), atol=1e-3)


def test_a_face_of_the_template_is_told_of(person: Head) -> None:
    notes = []
    for head in (person, replace(person, average=template_average())):
        result = Reface().anonymize(head, RNG)
        assert isinstance(result, AnonymizedHead)
        np.testing.assert_array_equal(result.changed, result.head.voxels != head.voxels)
        notes.append(result.note)
    assert notes == ["the new face is the face template's, as there is no average head", ""]


@settings(max_examples=5, deadline=None)
@given(gain=st.floats(0.01, 100), offset=st.floats(-10, 10))
def test_the_scanners_scale_goes_through(person: Head, gain: float, offset: float) -> None:
    other = person.with_voxels(np.float32(gain) * (person.voxels + np.float32(100 * offset)))
    expected = gain * (refaced(person) + 100 * offset)
    np.testing.assert_allclose(refaced(other), expected, atol=gain * 3)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_where_the_share_is_0_the_head_stays_and_where_it_is_1_the_face_comes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    voxels, face = (rng.uniform(0, 1, (6, 7, 8)).astype(np.float32) ** 3 for _ in range(2))
    share = rng.choice([0, 0.5, 1], voxels.shape).astype(np.float32)
    result = composite(voxels, face, share)
    assert result is not None
    np.testing.assert_array_equal(result[share == 0], voxels[share == 0])
    new, halfway = (np.float32(r) for r in (result[share == 1][0], result[share == 1][1]))
    slope = (new - halfway) / (face[share == 1][0] - face[share == 1][1])
    expected = new + slope * (face - face[share == 1][0])
    np.testing.assert_allclose(result[share == 1], expected[share == 1], atol=1e-2)


def test_a_volume_without_a_face_says_so(person: Head) -> None:
    for voxels in (person.voxels[:, :18], np.where(replaced(person), 20, person.voxels)):
        result = Reface().anonymize(person.with_voxels(voxels), RNG)
        assert isinstance(result, AnonymizedHead)
        assert result.outcome == "no face found"
        assert not result.changed.any()


def test_what_it_needs(files: dict[str, Path]) -> None:
    assert Reface().needs() == {"registration", "average"}
    assert Reface(**files).needs() == set()


def test_the_three_files_come_together(files: dict[str, Path]) -> None:
    with pytest.raises(ValidationError, match="give all three of template, shell and weight, or none"):
        Reface(template=files["template"])


def test_a_file_that_is_not_there_is_named(files: dict[str, Path], tmp_path: Path) -> None:
    assert Reface().missing() == ""
    assert Reface(**files).missing() == ""
    absent = tmp_path / "shell.nii"
    assert Reface(**files | {"shell": absent}).missing() == f"shell {absent} not found"


def test_other_contents_are_another_version(files: dict[str, Path], tmp_path: Path) -> None:
    other = tmp_path / "shell.nii"
    other.write_bytes(files["shell"].read_bytes()[:-4] + b"\0\0\1\0")
    one, two = Reface(**files).tool_versions(), Reface(**files | {"shell": other}).tool_versions()
    assert {name for name in one if one[name] != two[name]} == {"shell"}
    assert set(one) == {"niimath", "template", "shell", "weight"}
    assert set(Reface().tool_versions()) == {"niimath", "pydeface"}


def test_niimath_composites_the_users_own_face(person: Head, files: dict[str, Path]) -> None:
    own = replace(person, affine=half(person.affine), registration=None)
    negative = own.with_voxels(own.voxels - 70)
    released = refaced(negative, Reface(**files))
    changed = released != negative.voxels
    assert 0.05 < changed.mean() < 0.5
    assert changed[20:24, 58:62, 16:20].mean() > 0.9, "the nose is another one"
    far = ndimage.binary_dilation(replaced(person), iterations=3)
    assert not changed[~far].any(), "negative voxels stay as they are"
    np.testing.assert_allclose(refaced(own, Reface(**files)) - 70, released, atol=1e-3)


def test_niimath_says_why_it_cannot(person: Head, files: dict[str, Path], tmp_path: Path) -> None:
    garbage = tmp_path / "shell.nii"
    garbage.write_bytes(b"no volume")
    with pytest.raises(Exception, match="niimath could not reface person"):
        refaced(person, Reface(**files | {"shell": garbage}))


@pytest.mark.slow
def test_afnis_face(afni_folder: Path, ixi_heads: list[Head], registered: Callable[[Head], Head]) -> None:
    head = ixi_heads[0]
    how = Reface(
        template=afni_folder / "MNI152_2009_SSW.nii.gz",
        shell=afni_folder / "refacer_shell_sym212.nii.gz",
        weight=afni_folder / "MNI152_2009_SSW_weight.nii.gz",
    )
    changed = refaced(head, how) != head.voxels
    assert 0.1 < changed.mean() < 0.5
    assert not (changed & head.labels["brain"]).any()
    face = replaced(registered(head))
    assert (changed & face).sum() > 0.8 * (head_mask(head.voxels, head.voxel_mm) & face).sum()


@pytest.mark.slow
def test_real_people_get_the_same_face_and_keep_their_brain(
    ixi_heads: list[Head], registered: Callable[[Head], Head]
) -> None:
    before, after = [], []
    for head in map(registered, ixi_heads[:2]):
        released = refaced(head)
        assert not (released != head.voxels)[head.labels["brain"]].any()
        before.append(skin_depth(head))
        after.append(skin_depth(head.with_voxels(released)))
    assert np.nanmean(np.abs(after[0] - after[1])) < 0.3 * np.nanmean(np.abs(before[0] - before[1]))


def skin_depth(head: Head) -> np.ndarray:
    """How far to the front the face reaches, seen from the front on the template's grid: (x, z) of nose to mouth."""
    to_voxels = np.linalg.inv(head.affine) @ head.registration @ template_head().affine
    mask = head_mask(head.voxels, head.voxel_mm).astype(np.float32)
    seen = ndimage.affine_transform(mask, to_voxels[:3, :3], to_voxels[:3, 3], output_shape=(88, 128, 128), order=1)
    front = (seen > 0.5)[30:58, ::-1, 10:44]
    return np.where(front.any(axis=1), front.argmax(axis=1), np.nan)
