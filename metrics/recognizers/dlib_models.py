"""dlib and the weights of its networks: the extra `refbench[faces]`, which refbench itself works without.

The weights lie in the package `face_recognition_models` (in the public domain, CC0). It is never imported, only looked
into: its own module needs a part of setuptools that is no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from refbench.errors import Unavailable
from refbench.metrics.recognizers.render import Picture

EMBEDDING, DETECTOR = "dlib_face_recognition_resnet_model_v1.dat", "mmod_human_face_detector.dat"

MISSING = "dlib or its face_recognition_models not found: pip install 'refbench[faces]'"


def missing(name: str) -> str:
    """What lacks to use the weights of this name; empty if nothing."""
    return "" if find_spec("dlib") and _weights(name) else MISSING


def versions(name: str) -> Mapping[str, str]:
    """Of dlib and of its weights; nothing where they are missing."""
    if missing(name):
        return {}
    return {"dlib": _version("dlib-bin", "dlib"), "face_recognition_models": _version("face_recognition_models")}


@cache
def embedding_network() -> Any:
    """The network of dlib that describes a picture of a face by 128 numbers, kept by this process once it is loaded.

    Raises:
        Unavailable: dlib or the weights are not installed.
    """
    path = _needed(EMBEDDING)
    import dlib

    return dlib.face_recognition_model_v1(str(path))


@cache
def detector_network() -> Any:
    """The network of dlib that finds faces in pictures, kept by this process once it is loaded.

    Raises:
        Unavailable: dlib or the weights are not installed.
    """
    path = _needed(DETECTOR)
    import dlib

    return dlib.cnn_face_detection_model_v1(str(path))


def as_photograph(picture: Picture) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A picture as dlib takes it: uint8 [rows, columns, 3], all three colours the same."""
    return np.repeat(np.round(255 * picture).astype(np.uint8)[:, :, None], 3, axis=2)


def _needed(name: str) -> Path:
    path = _weights(name)
    if path is None or missing(name):
        raise Unavailable(MISSING)
    return path


def _weights(name: str) -> Path | None:
    package = find_spec("face_recognition_models")
    if package is None or not package.submodule_search_locations:
        return None
    path = Path(package.submodule_search_locations[0]) / "models" / name
    return path if path.is_file() else None


def _version(*distributions: str) -> str:
    """Of the first that is installed: dlib comes as a wheel of one name, or built from source under another."""
    for name in distributions:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return "of unknown version"
