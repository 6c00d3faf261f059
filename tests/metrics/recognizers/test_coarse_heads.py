"""Heads that are too coarse for a mean face are refused in words."""

from __future__ import annotations

import pytest

from refbench.datasets.phantom_scan import make_head
from refbench.errors import DataError
from refbench.metrics.recognizers.frame import build_frame


def test_voxels_that_are_too_large_are_named_as_the_reason() -> None:
    recipe = {"seed": 0, "session": 1, "site": "Guys", "scale": 0.2}
    with pytest.raises(DataError, match=r"2 training heads .* voxels of 4 mm or less"):
        build_frame(make_head({**recipe, "person": person}) for person in (1, 2))
