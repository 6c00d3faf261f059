from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from refbench.anonymizers.coating import Coating
from refbench.anonymizers.regions import region_weight, surface_layer
from refbench.types import Head


@pytest.mark.parametrize("region", ["face", "head_surface"])
def test_the_skin_gets_one_grey_and_the_inside_stays(region: str, template: Head) -> None:
    coating = Coating.model_validate({"region": region})
    before = template.voxels.copy()
    released = coating.anonymize(template, np.random.default_rng(0))
    assert isinstance(released, Head)
    weight = coating.weight(template)
    grey = np.average(before.astype(np.float64), weights=weight)
    np.testing.assert_allclose(released.voxels[weight == 1], grey, rtol=1e-3)
    np.testing.assert_array_equal(released.voxels[weight == 0], before[weight == 0])
    np.testing.assert_array_equal(template.voxels, before)
    assert released.voxels.dtype == np.float32


def test_by_default_only_the_skin_of_the_face_is_coated(template: Head) -> None:
    weight = Coating().weight(template)
    assert weight.any()
    assert (weight <= np.minimum(surface_layer(template), region_weight(template, "face"))).all()


def test_a_coat_over_everything_is_no_coat() -> None:
    with pytest.raises(ValidationError):
        Coating.model_validate({"region": "whole"})
