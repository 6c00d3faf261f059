"""Intensities and detail of one head in figures that can be compared between cohorts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from realism_faces import GRID_MM, on_grid

from refbench.geometry import head_mask
from refbench.types import Head

HISTOGRAM = np.linspace(0, 2.5, 126)
"""Edges of the bins of a histogram, relative to white matter."""

WAVES = np.arange(0.02, 0.181, 0.01)
"""Edges of bands of spatial frequency, cycles per mm. Up to what voxels of 2.4 mm can hold."""


def white_matter(head: Head) -> float:
    """The level of white matter: the 80 percentile of the labelled brain."""
    return float(np.percentile(head.voxels[head.labels["brain"]], 80))


def intensities(head: Head) -> dict[str, float]:
    """Percentiles of head, brain and air, relative to white matter."""
    white = white_matter(head)
    inside = head_mask(head.voxels, head.voxel_mm)
    whole, brain = head.voxels[inside], head.voxels[head.labels["brain"]]
    air = head.voxels[:, :, head.voxels.shape[2] // 2 :][~inside[:, :, head.voxels.shape[2] // 2 :]]
    figures = {f"head, {q} percentile": float(np.percentile(whole, q) / white) for q in (5, 25, 50, 75, 95)}
    figures |= {f"brain, {q} percentile": float(np.percentile(brain, q) / white) for q in (5, 25, 50, 95)}
    return {**figures, "air, median": float(np.median(air) / white)}


def histogram(head: Head) -> NDArray[np.float64]:
    """Shares of the head's voxels by intensity relative to white matter; brighter ones count in the last bin."""
    inside = head.voxels[head_mask(head.voxels, head.voxel_mm)] / white_matter(head)
    counts, _ = np.histogram(np.clip(inside, 0, HISTOGRAM[-1]), HISTOGRAM)
    shares: NDArray[np.float64] = counts / counts.sum()
    return shares


def between(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Earth mover's distance of two histograms, in units of white matter's intensity."""
    return float(np.abs(np.cumsum(one - other)).sum() * (HISTOGRAM[1] - HISTOGRAM[0]))


def power_spectrum(head: Head) -> NDArray[np.float64]:
    """Mean power of the head in bands of spatial frequency, relative to white matter squared."""
    volume = on_grid(head) / np.float32(white_matter(head))
    for axis, count in enumerate(volume.shape):  # faded out at the edges, which would count as detail
        volume *= np.expand_dims(np.hanning(count), tuple({0, 1, 2} - {axis})).astype(np.float32)
    power = np.abs(np.fft.rfftn(volume)) ** 2 / volume.size
    steps = (*(np.fft.fftfreq(count, GRID_MM) for count in volume.shape[:2]), np.fft.rfftfreq(volume.shape[2], GRID_MM))
    radius = np.sqrt(sum(step**2 for step in np.meshgrid(*steps, indexing="ij", sparse=True)))
    band = np.digitize(radius.ravel(), WAVES)
    sums, counts = (np.bincount(band, values, len(WAVES) + 1)[1:-1] for values in (power.ravel(), None))
    spectrum: NDArray[np.float64] = sums / counts
    return spectrum


def detail(head: Head) -> dict[str, float]:
    """Slope of the spectrum, and how much of the gradient's energy is fine detail."""
    power, middle = power_spectrum(head), (WAVES[1:] + WAVES[:-1]) / 2
    slope = np.polyfit(np.log10(middle), np.log10(power), 1)[0]
    # A gradient multiplies power by the frequency squared; a shell of frequencies has an area that grows so, too.
    energy = power * middle**4
    fine = float(energy[middle > 0.1].sum() / energy.sum())
    return {"slope of the power spectrum": float(slope), "gradient energy beyond 0.1 cycles/mm": fine}
