"""What a scanner adds: contrast, field of view, pose, resolution, artefacts and noise; three sites as in IXI."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from refbench.datasets.phantom_artefacts import moved, truncated
from refbench.datasets.phantom_person import Person
from refbench.datasets.phantom_tissue import Contrast
from refbench.types import Affine, Voxels


@dataclass(frozen=True)
class Scanner:
    """One site.

    Attributes:
        shape: voxels along x, y, z of the full grid. voxel_mm: their edges.
        white: intensity of white matter in the scanner's own units.
        noise: standard deviation of the noise in each channel, relative to white matter.
        bias: relative depth of the bias field. lower_fade: how much darker the lower end of the coil is, 0-1.
        blur_mm: standard deviation of the point spread along x, y, z.
        tilt_degrees: how the grid is tilted about the x axis against the scanner's own axes.
        nose_room_mm: mean and standard deviation of the room between nose and edge of the field of view.
        k_space: share of k-space that is recorded along each axis, 0-1; less than 1 rings.
        motion: how far a head moves meanwhile, standard deviation in mm and degrees.
    """

    contrast: Contrast
    shape: tuple[int, int, int]
    voxel_mm: tuple[float, float, float]
    white: float
    noise: float
    bias: float
    lower_fade: float
    blur_mm: tuple[float, float, float]
    tilt_degrees: float
    nose_room_mm: tuple[float, float]
    k_space: float = 1.0
    motion: float = 0.0


_WHOLE = (1.2, 0.9375, 0.9375)
SCANNERS = {
    "Guys": Scanner(
        Contrast(1.0, 0.74, 0.26, 1.15, 0.62, 0.56, 0.80, 0.07, 0.22),
        (150, 256, 256), _WHOLE, 520.0, 0.025, 0.10, 0.15, (0.3, 0.35, 0.35), 7.0, (15.0, 7.0),
    ),
    "HH": Scanner(
        Contrast(1.0, 0.68, 0.20, 0.98, 0.58, 0.52, 0.66, 0.05, 0.18),
        (150, 256, 256), _WHOLE, 640.0, 0.016, 0.22, 0.30, (0.3, 0.3, 0.3), 0.0, (10.0, 7.0),
    ),
    "IOP": Scanner(
        Contrast(1.0, 0.79, 0.34, 1.30, 0.70, 0.62, 0.92, 0.10, 0.28),
        (146, 256, 256), _WHOLE, 380.0, 0.042, 0.14, 0.22, (0.75, 0.5, 0.5), 3.0, (3.0, 6.0),
    ),
}  # fmt: skip


def grid_shape(scanner: Scanner, scale: float) -> tuple[int, int, int]:
    """Voxels along x, y, z when each side has `scale` times as many as the full grid."""
    x, y, z = (max(8, round(n * scale)) for n in scanner.shape)
    return x, y, z


def place_grid(
    scanner: Scanner, person: Person, nose_y: float, scale: float, rng: np.random.Generator
) -> tuple[Affine, Affine]:
    """Lay a person in the scanner.

    `nose_y` is how far the nose reaches, mm in the person's frame.

    Returns:
        (4, 4) voxel index to the scanner's mm, and (4, 4) voxel index to mm of the person's own frame.
    """
    shape = np.array(grid_shape(scanner, scale))
    extent = np.array(scanner.shape) * scanner.voxel_mm
    voxel = extent / shape
    nod, turn, roll = np.deg2rad(np.clip(rng.normal(size=3), -2, 2) * (3.0, 2.0, 1.5))
    shift = np.clip(rng.normal(size=3), -2, 2) * (2.0, 3.0, 3.0)
    person_of_grid = _rotation(nod, roll, turn)  # the grid's axes as the person sees them
    room = float(scanner.nose_room_mm[0] + scanner.nose_room_mm[1] * np.clip(rng.normal(), -2.5, 2.5))
    top = person.face.head_height + 6 + abs(rng.normal()) * 4
    nose = person_of_grid.T @ (0.0, nose_y, person.face.subnasale_z + 8)
    front, upper = nose[1] + room, (person_of_grid.T @ (0.0, -10.0, top))[2]
    centre = np.array([rng.normal() * 1.5, front - extent[1] / 2, upper - extent[2] / 2])
    first = centre - extent / 2 + voxel / 2
    in_grid_axes = np.eye(4)
    in_grid_axes[:3, :3], in_grid_axes[:3, 3] = np.diag(voxel), first
    tilt = np.deg2rad(scanner.tilt_degrees)
    scanner_of_grid, person_frame = np.eye(4), np.eye(4)
    scanner_of_grid[:3, :3], scanner_of_grid[:3, 3] = _rotation(tilt, 0.0, 0.0), shift
    person_frame[:3, :3] = person_of_grid
    return scanner_of_grid @ in_grid_axes, person_frame @ in_grid_axes


def scan_tissue(scanner: Scanner, tissue: Voxels, rng: np.random.Generator) -> Voxels:
    """Turn relative tissue intensities into a magnitude image in the scanner's units.

    Rician noise: the magnitude of a complex signal with Gaussian noise in both channels (Gudbjartsson & Patz 1995).
    A smaller `scale` keeps the noise as it is: fewer voxels should not make an easier head.
    """
    image = tissue
    voxel = np.array(scanner.shape) * scanner.voxel_mm / tissue.shape
    for axis in range(3):
        spread = scanner.blur_mm[axis] / voxel[axis]
        if spread > 0.2:
            image = gaussian_filter1d(image, spread, axis=axis, truncate=3.0, mode="nearest")
    if scanner.motion > 0:
        image = moved(image, (float(voxel[0]), float(voxel[1]), float(voxel[2])), scanner.motion, rng)
    for curve, axis in zip(_bias_curves(scanner, tissue.shape, rng), range(3), strict=True):
        image = image * np.expand_dims(curve, tuple(a for a in range(3) if a != axis))
    if scanner.k_space < 1:
        image = truncated(image, scanner.k_space)
    image = image * np.float32(scanner.white)
    spread = np.float32(scanner.noise * scanner.white)
    real = rng.standard_normal(image.shape, dtype=np.float32)
    real *= spread
    real += image
    imaginary = rng.standard_normal(image.shape, dtype=np.float32)
    imaginary *= spread
    real *= real
    imaginary *= imaginary
    real += imaginary
    return np.sqrt(real, out=real)


def _bias_curves(scanner: Scanner, shape: tuple[int, ...], rng: np.random.Generator) -> list[NDArray[np.float32]]:
    """A smooth bias field as one curve per axis, whose product it is."""
    curves = []
    for axis, count in enumerate(shape):
        t = np.linspace(-1, 1, count)
        slope, bend = np.clip(rng.normal(size=2), -2, 2) * scanner.bias * (0.3, 0.2)
        curve = np.exp(slope * t + bend * (t * t - 0.3))
        if axis == 2:
            curve *= 1 - scanner.lower_fade / (1 + np.exp((t + 0.55) / 0.13))
        curves.append(curve.astype(np.float32))
    return curves


def _rotation(about_x: float, about_y: float, about_z: float) -> NDArray[np.float64]:
    """Rotation by three angles (radians) about x, then y, then z."""
    (sx, sy, sz), (cx, cy, cz) = np.sin((about_x, about_y, about_z)), np.cos((about_x, about_y, about_z))
    x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    turned: NDArray[np.float64] = z @ y @ x
    return turned
