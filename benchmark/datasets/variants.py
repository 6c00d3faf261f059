"""One person's head in many forms: orientations, grids, data types, fields of view. What a tool must cope with."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import field_validator

from refbench.datasets.base import Dataset, Scan
from refbench.geometry import air_level, head_mask
from refbench.plugin import param
from refbench.types import Affine, Head, Mask, Voxels


@dataclass(frozen=True)
class Form:
    """How a head is recorded and stored.

    Attributes:
        axes: what the file's axes point to, as nibabel's axis codes.
        turned: degrees by which the grid is turned about x, y and z; the head stays where it is.
        voxel_mm: edge lengths along x, y and z; None keeps the head's own.
        magnified: the head is so many times larger.
        below_crown_mm: the volume ends this far below the crown. off_front_mm: it misses so much of the nose.
        empty_below_mm: nothing is recorded further than this below the crown, though the volume goes on.
        raised: added to all intensities, as a share of the largest.
        dtype: as stored; `scaled` is int16 with a slope and an intercept. volumes: a fourth axis of length one.
    """

    axes: str = "RAS"
    turned: tuple[float, float, float] = (0.0, 0.0, 0.0)
    voxel_mm: tuple[float, float, float] | None = None
    magnified: float = 1.0
    below_crown_mm: float | None = None
    off_front_mm: float = 0.0
    empty_below_mm: float | None = None
    raised: float = 0.0
    dtype: str = "float32"
    volumes: bool = False


FORMS = {
    "as_it_is": Form(),
    "stored_LPI": Form(axes="LPI"),
    "stored_PSR": Form(axes="PSR"),
    "stored_IRA": Form(axes="IRA"),
    "oblique_10": Form(turned=(10, 5, -5)),
    "oblique_30": Form(turned=(30, 0, 0)),
    "oblique_30_about_z": Form(turned=(0, 0, 30)),
    "voxels_0.7": Form(voxel_mm=(0.7, 0.7, 0.7)),
    "voxels_3": Form(voxel_mm=(3, 3, 3)),
    "axial_slabs_5": Form(voxel_mm=(1, 1, 5)),
    "sagittal_slabs_4": Form(voxel_mm=(4, 1, 1)),
    "uint8": Form(dtype="uint8"),
    "int16": Form(dtype="int16"),
    "scaled_int16": Form(dtype="scaled"),
    "float64": Form(dtype="float64"),
    "one_of_4d": Form(volumes=True),
    "raised_background": Form(raised=0.2),
    "negative": Form(raised=-0.5),
    "no_chin": Form(below_crown_mm=175),
    "no_nose_tip": Form(off_front_mm=15),
    "empty_neck": Form(empty_below_mm=220),
    "tiny_head": Form(magnified=0.75),
    "huge_head": Form(magnified=1.2),
}


class Variants(Dataset):
    """One phantom head in many forms, each written to a file and read back; or the forms that are named."""

    real_people: ClassVar[bool] = False

    forms: tuple[str, ...] = param(tuple(FORMS), "which forms", min_length=1)
    scale: float = param(0.5, "voxels per side, as a share of the full 150 x 256 x 256", unit="0-1", ge=0.2, le=1)
    person: int = param(1, "number of the phantom", ge=1)

    @field_validator("forms")
    @classmethod
    def _known(cls, forms: tuple[str, ...]) -> tuple[str, ...]:
        for name in forms:
            if name not in FORMS:
                raise ValueError(f"no form {name!r}; there are: {', '.join(FORMS)}")
        return forms

    def label_names(self) -> frozenset[str]:
        """Those of the phantom that go through every change of form."""
        return frozenset({"brain", "face"})

    def scans(self) -> list[Scan]:
        """One scan per form, named by it."""
        base = {"seed": 0, "person": self.person, "session": 1, "site": "Guys", "scale": self.scale}
        return [Scan(name, "phantom", recipe={**base, "form": asdict(FORMS[name])}) for name in self.forms]

    def load(self, scan: Scan) -> Head:
        """Make the phantom, give it its form, store it and read it back."""
        from refbench.datasets.phantom_scan import make_head

        recipe: dict[str, Any] = dict(scan.recipe)
        form = Form(**recipe.pop("form"))
        return stored(reformed(make_head(recipe), form), form)


def reformed(head: Head, form: Form) -> Head:
    """Record a head again as `form` says, its labels too; trilinear for intensities, nearest for labels."""
    scaled = replace(head, affine=np.diag([form.magnified] * 3 + [1.0]) @ head.affine)
    voxel_mm = np.asarray(form.voxel_mm or scaled.voxel_mm)
    crown, front = _crown_and_front(scaled)
    if form.empty_below_mm is not None:
        empty = np.arange(scaled.voxels.shape[2]) < crown - form.empty_below_mm / scaled.voxel_mm[2]
        scaled = scaled.with_voxels(np.where(empty, np.float32(air_level(scaled.voxels)), scaled.voxels))
    low, high = np.zeros(3), np.array(scaled.voxels.shape, dtype=float)
    if form.below_crown_mm is not None:
        low[2] = max(0, crown - form.below_crown_mm / scaled.voxel_mm[2])
    if form.off_front_mm:
        high[1] = front - form.off_front_mm / scaled.voxel_mm[1]
    same_grid = form.voxel_mm is None and not any(form.turned)
    shape, affine = _grid(scaled, low, high, voxel_mm, np.asarray(form.turned))
    voxels = _resampled(scaled.voxels, scaled.affine, shape, affine, order=0 if same_grid else 1)
    voxels += np.float32(form.raised * voxels.max())
    labels = {
        name: _resampled(scaled.labels[name].astype(np.float32), scaled.affine, shape, affine, order=0) > 0.5
        for name in ("brain", "face")
        if name in scaled.labels
    }
    return Head(voxels, affine, head.subject, head.session, head.site, labels)


def stored(head: Head, form: Form) -> Head:
    """Write a head, and its labels, to NIfTI files of the form's axes and data type, and read them back."""
    from refbench.datasets.nifti import read_head, read_label

    with tempfile.TemporaryDirectory(prefix="refbench-variant-") as name:
        folder = Path(name)
        write_form(folder / "head.nii", head.voxels, head.affine, form)
        read = read_head(folder / "head.nii", subject=head.subject, session=head.session, site=head.site)
        labels: dict[str, Mask] = {}
        for label, mask in head.labels.items():
            write_form(folder / f"{label}.nii", mask.astype(np.float32), head.affine, replace(form, dtype="uint8"))
            labels[label] = read_label(folder / f"{label}.nii", read)
    return replace(read, labels=labels)


def write_form(path: Path, voxels: Voxels, affine: Affine, form: Form) -> None:
    """Write a RAS+ volume with the form's axis order, data type and number of axes."""
    import nibabel as nib
    from nibabel.orientations import axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform

    change = ornt_transform(io_orientation(affine), axcodes2ornt(tuple(form.axes)))  # type: ignore[no-untyped-call]
    turned = nib.apply_orientation(voxels, change)  # type: ignore[no-untyped-call]
    turned_affine = affine @ inv_ornt_aff(change, voxels.shape)  # type: ignore[no-untyped-call]
    data = turned[..., None] if form.volumes else turned
    if form.dtype == "scaled":
        image = nib.Nifti1Image(data, turned_affine)  # type: ignore[no-untyped-call]
        image.set_data_dtype(np.int16)  # type: ignore[no-untyped-call]
    else:
        dtype = np.dtype(form.dtype)
        if dtype.kind in "iu" and data.max() > 1:
            data = np.round(data * (0.9 * np.iinfo(dtype).max / np.abs(data).max()))
        image = nib.Nifti1Image(data.astype(dtype), turned_affine)  # type: ignore[no-untyped-call]
    nib.save(image, path)


def _grid(
    head: Head, low: NDArray[np.float64], high: NDArray[np.float64], voxel_mm: NDArray[np.float64], turned: Any
) -> tuple[tuple[int, int, int], Affine]:
    """A grid over the box of voxels from `low` to `high`, turned about its centre: shape and affine."""
    from scipy.spatial.transform import Rotation

    own = head.affine[:3, :3] / head.voxel_mm
    size_mm = (high - low) * head.voxel_mm
    shape = np.maximum(2, np.round(size_mm / voxel_mm)).astype(int)
    centre = head.affine[:3, :3] @ ((low + high - 1) / 2) + head.affine[:3, 3]
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", turned, degrees=True).as_matrix() @ own * voxel_mm
    affine[:3, 3] = centre - affine[:3, :3] @ ((shape - 1) / 2)
    return (int(shape[0]), int(shape[1]), int(shape[2])), affine


def _resampled(voxels: Voxels, affine: Affine, shape: tuple[int, int, int], to: Affine, order: int) -> Voxels:
    from scipy import ndimage

    mapping = np.linalg.inv(affine) @ to
    result: Voxels = ndimage.affine_transform(
        voxels, mapping[:3, :3], mapping[:3, 3], output_shape=shape, output=np.float32, order=order, mode="nearest"
    )
    return result


def _crown_and_front(head: Head) -> tuple[float, float]:
    """The z index of the crown and the y index of the tip of the nose."""
    mask = head_mask(head.voxels, head.voxel_mm)
    return float(np.flatnonzero(mask.any(axis=(0, 1)))[-1]), float(np.flatnonzero(mask.any(axis=(0, 2)))[-1])
