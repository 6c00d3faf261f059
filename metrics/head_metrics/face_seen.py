"""Whether a stock face detector still sees a face."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from refbench.metrics.head_metrics.base import HeadMetric, HeadPair
from refbench.metrics.recognizers import dlib_models
from refbench.metrics.recognizers.alignment import rigid, rotation
from refbench.metrics.recognizers.base import Relief
from refbench.metrics.recognizers.render import Picture, shaded
from refbench.metrics.recognizers.skin import FrontSkin, find_skin, first_met
from refbench.metrics.recognizers.smoothing import smoothed

TILTS_DEG = (0.0, -10.0, 10.0)
"""A face is seen if it is seen in one of these poses; by -10 degrees the head nods."""

PIXEL_MM, STEP_MM = 1.5, 2.0
"""Of the picture, and of the rays along which skin is looked for. The detector sees faces wider than 80 pixels."""

SMOOTHING_MM, BORDER = 2.0, 20
WIDTH_MM, HEIGHT_MM, DEPTH_MM = 200.0, 240.0, 130.0
"""What is seen: around the middle of the head's skin, from just above its top, as far back as the ears."""

ABOVE_MM, BEFORE_MM = 10.0, 20.0
NECK_MM = 200.0


class FaceSeen(HeadMetric):
    """Whether dlib's face detector sees a face in a shaded picture of the head's front.

    The detector is a network trained on photographs, with its own threshold (confidence 0). Where it sees nothing, a
    face may still be recognised: an attacker who knows that it is a head needs no detector.

    King, Max-margin object detection, 2015.
    """

    figures: ClassVar[Mapping[str, str]] = {
        "face_seen": "whether a face detector sees a face, 0 or 1",
        "detector_confidence": "of the detector, its best over several poses; 0: no face",
    }
    headline: ClassVar[tuple[str, ...]] = ("face_seen",)

    def missing(self) -> str:
        """Say what to install, where dlib or the weights are not there."""
        return dlib_models.missing(dlib_models.DETECTOR)

    def tool_versions(self) -> Mapping[str, str]:
        """Of dlib and of the package of its weights."""
        return dlib_models.versions(dlib_models.DETECTOR)

    def measure(self, pair: HeadPair) -> Mapping[str, float]:
        """Look at the candidate from the front; the original is not needed.

        Raises:
            DataError: the candidate is constant, or too thin to have a surface.
            Unavailable: dlib or the weights are not installed.
        """
        skin = find_skin(pair.candidate)
        confidence = 0.0
        if len(skin.points):
            pictures = [dlib_models.as_photograph(front_view(skin, tilt)) for tilt in TILTS_DEG]
            found = dlib_models.detector_network()(pictures, 0, batch_size=len(pictures))
            confidence = max((face.confidence for faces in found for face in faces), default=0.0)
        return {"face_seen": float(confidence > 0), "detector_confidence": float(confidence)}


def front_view(skin: FrontSkin, tilt_deg: float) -> Picture:
    """A shaded picture of the head's front, float32 [rows, columns], 0-1, with a black border."""
    relief = smoothed(_relief(skin, tilt_deg), SMOOTHING_MM / PIXEL_MM)
    return np.pad(shaded(relief, PIXEL_MM), BORDER)


def _relief(skin: FrontSkin, tilt_deg: float) -> Relief:
    """The skin that is met first by rays along y, mm to the front; NaN where none is met."""
    from scipy import ndimage

    top = np.quantile(skin.points[:, 2], 0.995)
    face = skin.points[skin.points[:, 2] > top - NECK_MM]
    corner = np.array([np.median(face[:, 0]) + WIDTH_MM / 2, np.quantile(face[:, 1], 0.99) + BEFORE_MM, top + ABOVE_MM])
    middle = corner - np.array([WIDTH_MM, DEPTH_MM, HEIGHT_MM]) / 2
    tilted = rigid(rotation(np.array([np.deg2rad(tilt_deg), 0, 0])), middle, np.zeros(3))
    # Samples by depth, row and column: away from the camera, down, and to the person's left.
    to_mm = np.array([[0, 0, -PIXEL_MM], [-STEP_MM, 0, 0], [0, -PIXEL_MM, 0]])
    sampling = np.eye(4)
    sampling[:3, :3], sampling[:3, 3] = to_mm, corner
    sampling = np.linalg.inv(skin.affine) @ tilted @ sampling
    shape = (round(DEPTH_MM / STEP_MM), round(HEIGHT_MM / PIXEL_MM), round(WIDTH_MM / PIXEL_MM))
    rays = ndimage.affine_transform(skin.field, sampling[:3, :3], sampling[:3, 3], shape, order=1)
    row, column, depth = first_met(rays)
    relief = np.full(shape[1:], np.nan, np.float32)
    relief[row, column] = -STEP_MM * depth
    return relief
