"""Imported once by the server that job processes are forked from, so that no job pays for what all of them need."""

import numpy
import scipy.fft
import scipy.ndimage
import scipy.spatial

import refbench.jobs.anonymize
import refbench.jobs.check
import refbench.jobs.face
import refbench.jobs.head
import refbench.jobs.reconstruct
import refbench.jobs.score
import refbench.jobs.skin
import refbench.jobs.slice
import refbench.jobs.train
import refbench.worker
from refbench.provenance import hardware, software
from refbench.registry import Registry

# All are kept: no job asks again for versions and hardware, or for what is installed.
software()
hardware()
Registry.discover()

__all__ = ["numpy", "refbench", "scipy"]
