"""What the parts hand each other: heads, released slices, pairs and regions.

Everything here is plain data. Plug-ins may import this module, `refbench.plugin`, `refbench.errors` and
`refbench.geometry`, and nothing else of `refbench` outside their own folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Voxels = NDArray[np.float32]
Mask = NDArray[np.bool_]
Affine = NDArray[np.float64]
Images = NDArray[np.float32]

Outcome = Literal["ok", "no face found", "face left", "brain cut", "failed"]
"""What an anonymization came to, whatever the tool's exit status says."""


@dataclass(frozen=True)
class Head:
    """One T1-weighted volume of one subject's whole head.

    Attributes:
        voxels: float32 (x, y, z) in RAS+ order: x to the right, y to the front, z up; the scanner's own scale.
        affine: float64 (4, 4), voxel index to RAS+ millimetres.
        subject: the person. site: the scanner's place. session: the visit.
        labels: truth the dataset knows (`brain`, `face`, `skin`, `ears`, `eyes`, `nose`, `mouth`: bool arrays of the
            voxels' shape). The harness takes them away before an anonymizer sees the head.
        registration: float64 (4, 4), millimetres of the face template to millimetres of this head, where it has
            been computed already (see `refbench.anonymizers.registration`).
        brain: bool of the voxels' shape, the brain as deepbet sees it, where it has been computed already (see
            `refbench.anonymizers.brain`).
        average: float32, the average of the training subjects' heads in the face template's space (see
            `refbench.anonymizers.average`), where the harness has computed it.
    """

    voxels: Voxels
    affine: Affine
    subject: str = ""
    session: str = ""
    site: str = ""
    labels: Mapping[str, Mask] = field(default_factory=dict)
    registration: Affine | None = None
    brain: Mask | None = None
    average: Voxels | None = None

    @property
    def voxel_mm(self) -> NDArray[np.float64]:
        """Edge lengths of a voxel along x, y and z in mm, shape (3,)."""
        edges: NDArray[np.float64] = np.sqrt((self.affine[:3, :3] ** 2).sum(axis=0))
        return edges

    def with_voxels(self, voxels: Voxels) -> Head:
        """The same head with other intensities (same shape)."""
        return replace(self, voxels=voxels)


@dataclass(frozen=True)
class AnonymizedHead:
    """A head with the face hidden, what was changed, and whether it worked.

    Attributes:
        head: the released head, on the grid of the input.
        changed: bool (x, y, z), True where a voxel differs from the input.
        outcome: `ok`, or why the release must not be trusted. note: one sentence for the reader of a table.
    """

    head: Head
    changed: Mask
    outcome: Outcome = "ok"
    note: str = ""

    @classmethod
    def compare(cls, before: Head, after: Head, outcome: Outcome = "ok", note: str = "") -> AnonymizedHead:
        """Derive the mask of what changed from input and output, as most tools give none."""
        return cls(after, before.voxels != after.voxels, outcome, note)


@dataclass(frozen=True)
class ReleasedSlices:
    """What an attacker holds at test time: slices cut from released volumes, and nothing else.

    Slices of one release stand together and in order of position.

    Attributes:
        images: float32 [n, h, w], 0-1; row 0 is the top of the head, column 0 is in front of the face.
        release: int [n], which released volume a slice was cut from (an arbitrary number).
        position: int [n], 0 .. count-1, the slice's place from the subject's left to right.
        changed: bool [n, h, w], where the anonymizer changed the image. Always there for training pairs; at test
            time only for an attacker that declares `region: known`, else None.
    """

    images: Images
    release: NDArray[np.int64]
    position: NDArray[np.int64]
    changed: Mask | None = None

    def __len__(self) -> int:
        return len(self.images)

    def take(self, index: slice | NDArray[Any]) -> ReleasedSlices:
        """Some of the slices, by a slice, indices or a mask along n."""
        changed = None if self.changed is None else self.changed[index]
        return ReleasedSlices(self.images[index], self.release[index], self.position[index], changed)


@dataclass(frozen=True)
class SlicePairs:
    """Released slices with their originals, float32 [n, h, w] 0-1: what an attacker learns from."""

    released: ReleasedSlices
    original: Images

    def __len__(self) -> int:
        return len(self.original)

    def take(self, index: slice | NDArray[Any]) -> SlicePairs:
        """Some of the pairs, by a slice, indices or a mask along n."""
        return SlicePairs(self.released.take(index), self.original[index])

    @property
    def changed(self) -> Mask:
        """Where the anonymizer changed the images, bool [n, h, w]."""
        assert self.released.changed is not None, "training pairs always carry the changed region"
        return self.released.changed


@dataclass(frozen=True)
class Region:
    """Where a metric looks.

    Attributes:
        name: `front_half` (the paper's), `whole`, `face` or `changed`; part of the metric's name in every table.
        mask: bool [n, h, w], the pixels that count.
        box: rows and columns that the images are cropped to before anything is computed. The paper crops first,
            so that windows of SSIM never reach over the middle of the head.
    """

    name: str
    mask: Mask
    box: tuple[slice, slice] = (slice(None), slice(None))
