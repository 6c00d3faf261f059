"""Imported once by the server that job processes are forked from, so that no job pays for it."""

import numpy
import scipy.fft
import scipy.ndimage
import scipy.spatial

import refbench.jobs.face
import refbench.jobs.head
import refbench.jobs.reconstruct
import refbench.jobs.score
import refbench.jobs.slice
import refbench.jobs.train

__all__ = ["numpy", "refbench", "scipy"]
