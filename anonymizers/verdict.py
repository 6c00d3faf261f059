"""Did it work? Figures of an anonymized head, and what they come to, whatever the anonymizer says of itself."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from refbench.anonymizers.face_surface import FACE_PARTS, FOUND_AT_LEAST, SKIN_PARTS, FacialSkin
from refbench.anonymizers.outer_surface import Box, outer_surface, sampled
from refbench.anonymizers.registration import bounding_box
from refbench.types import AnonymizedHead, Head, Mask, Outcome

BrainFrom = Literal["dataset", "deepbet"]

LEFT_MM = 1.0
"""Skin counts as left where the released head's skin lies within this distance of it."""

MOST_LEFT = 0.5
"""A part of the face of which more than this share is left can still be recognised."""

BRAIN_RIM_MM = 2.0
"""How far an estimated brain may reach into the skull by mistake."""

SEVERITY: tuple[Outcome, ...] = ("ok", "no face found", "face left", "brain cut", "failed")
"""From good to bad: of several findings the worst is the outcome."""

_SPACING_MM = 0.75


@dataclass(frozen=True)
class Figures:
    """What is measured of every anonymized head; plain numbers.

    Attributes:
        changed: 0-1, the share of all voxels that differ. changed_voxels: their number.
        skin_left: 0-1, the share (by area) of the facial skin within `LEFT_MM` of the released head's skin; None if
            the volume holds no facial skin.
        nose_left, eyes_left, mouth_left, ears_left: the same for one part; None if the volume holds none of it.
        face_left: the same where a data set's label does not name parts, else None.
        brain_changed: brain voxels that differ; of an estimated brain only those `BRAIN_RIM_MM` inside it.
        brain_voxels: size of the brain mask.
        brain_from: `dataset`, its own label; `deepbet`, an estimate.
        face_found, face_cut, touches_edge: as in `FacialSkin`.
    """

    changed: float
    changed_voxels: int
    skin_left: float | None
    nose_left: float | None
    eyes_left: float | None
    mouth_left: float | None
    ears_left: float | None
    face_left: float | None
    brain_changed: int
    brain_voxels: int
    brain_from: BrainFrom
    face_found: float
    face_cut: float
    touches_edge: bool

    def as_dict(self) -> dict[str, Any]:
        """For JSON: the fields by name."""
        return asdict(self)


class Verdict(NamedTuple):
    """What an anonymization came to, one sentence about it (empty if ok), and the figures behind it."""

    outcome: Outcome
    note: str
    figures: Figures


def judge(head: Head, skin: FacialSkin, brain: Mask, brain_from: BrainFrom, released: AnonymizedHead) -> Verdict:
    """Judge a released head against its original.

    Of the anonymizer's own outcome and what is measured, the worse wins (see `SEVERITY`); the note names all.

    Args:
        head: the original.
        skin: its facial skin.
        brain: bool of the voxels' shape.
        brain_from: who says so; a data set's own label counts to the last voxel, an estimate without its rim.
        released: what the anonymizer returned, on the same grid; its outcome and note are the anonymizer's claim.

    Returns:
        outcome, note, figures; can be unpacked.
    """
    figures = _measure(head, skin, brain, brain_from, released)
    findings = _findings(figures)
    if released.outcome != "ok":
        findings.append((released.outcome, released.note))
    findings.sort(key=lambda finding: -SEVERITY.index(finding[0]))
    if not findings:
        return Verdict("ok", released.note, figures)
    said = dict.fromkeys(f"{outcome}: {detail}" if detail else outcome for outcome, detail in findings)
    return Verdict(findings[0][0], "; ".join(said), figures)


def skin_left(skin: FacialSkin, released: Head) -> Mask:
    """Which points of an original's facial skin lie within `LEFT_MM` of the released head's outer skin: bool (n,).

    The released skin is where the released intensities cross the ORIGINAL's threshold, so that a release of another
    contrast is not taken for one of another shape.
    """
    from scipy.spatial import cKDTree

    surfaces = [outer_surface(released.voxels, released.affine, _slices(box), skin.threshold) for box in skin.boxes]
    triangles = np.concatenate([np.zeros((0, 3, 3), np.float32), *surfaces])
    if not (len(triangles) and len(skin.points)):
        return np.zeros(len(skin.points), dtype=bool)
    # Most triangles are too far from any skin to matter; only the others are worth cutting up.
    centres = triangles.mean(axis=1)
    reach = np.linalg.norm(triangles - centres[:, None], axis=2).max() + LEFT_MM
    from_skin, _ = cKDTree(skin.points).query(centres, distance_upper_bound=reach)
    points = sampled(triangles[np.isfinite(from_skin)], _SPACING_MM)
    distance, _ = cKDTree(points, balanced_tree=False).query(skin.points, distance_upper_bound=LEFT_MM)
    left: Mask = np.isfinite(distance)
    return left


def _measure(head: Head, skin: FacialSkin, brain: Mask, brain_from: BrainFrom, released: AnonymizedHead) -> Figures:
    changed = head.voxels != released.head.voxels
    left = skin_left(skin, released.head)
    shares = {name: _share(left, skin.area, skin.part == index) for index, name in enumerate(SKIN_PARTS)}
    return Figures(
        changed=float(changed.mean()),
        changed_voxels=int(changed.sum()),
        skin_left=_share(left, skin.area, np.ones(len(left), dtype=bool)),
        nose_left=shares["nose"],
        eyes_left=shares["eyes"],
        mouth_left=shares["mouth"],
        ears_left=shares["ears"],
        face_left=shares["face"],
        brain_changed=_brain_changed(changed, brain, head.voxel_mm, 0.0 if brain_from == "dataset" else BRAIN_RIM_MM),
        brain_voxels=int(brain.sum()),
        brain_from=brain_from,
        face_found=skin.found,
        face_cut=skin.cut,
        touches_edge=skin.touches_edge,
    )


def _findings(figures: Figures) -> list[tuple[Outcome, str]]:
    """What is wrong, with the figures in words; a head without a face cannot have kept it."""
    findings: list[tuple[Outcome, str]] = []
    if figures.brain_changed:
        findings.append(("brain cut", f"{figures.brain_changed} of {figures.brain_voxels} brain voxels changed"))
    if figures.face_found < FOUND_AT_LEAST:
        findings.append(("no face found", f"only {100 * figures.face_found:.0f} % of a face's skin is there"))
        return findings
    shares = {name: getattr(figures, f"{name}_left") for name in (*FACE_PARTS, "face")}
    too_much = [f"{name} {100 * share:.0f} %" for name, share in shares.items() if (share or 0) > MOST_LEFT]
    if too_much:
        findings.append(("face left", f"{', '.join(too_much)} of the skin within {LEFT_MM:g} mm"))
    return findings


def _share(left: Mask, area: NDArray[np.float32], where: Mask) -> float | None:
    """The share of the area in `where` that is left; None if there is none."""
    total = float(area[where].sum(dtype=np.float64))
    return float(area[where & left].sum(dtype=np.float64)) / total if total else None


def _brain_changed(changed: Mask, brain: Mask, voxel_mm: NDArray[np.float64], rim_mm: float) -> int:
    """How many changed voxels lie in the brain, more than `rim_mm` deep."""
    from scipy import ndimage

    cut = changed & brain
    if rim_mm == 0 or not cut.any():
        return int(cut.sum())
    # A voxel more than a rim around what was changed is enough to measure how deep it lies.
    box = bounding_box(cut, np.ceil(rim_mm / voxel_mm).astype(int) + 1)
    if brain[box].all():
        return int(cut.sum())
    depth = ndimage.distance_transform_edt(brain[box], sampling=voxel_mm)
    return int((cut[box] & (depth > rim_mm)).sum())


def _slices(box: NDArray[np.int32]) -> Box:
    """A row of `FacialSkin.boxes` as an index."""
    x, y, z = (slice(int(first), int(last)) for first, last in box)
    return x, y, z
