from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import pytest
from pydantic import ValidationError

from refbench.attackers.base import Reconstructor
from refbench.attackers.cyclegan import CycleGAN
from refbench.attackers.inpaint import Inpaint
from refbench.attackers.options import NetworkAttacker, PairedNetwork
from refbench.attackers.pix2pix import Pix2Pix
from refbench.plugin import param


class Painter(NetworkAttacker):
    """Paints."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "quick": {"steps": 100, "batch": 32},
        "broken": {"batch": 0},
    }

    preset: Literal["quick", "broken"] | None = param(None, "a recipe")
    width: int = param(8, "channels", ge=1)

    def fit(self, *_: object) -> Reconstructor:
        raise NotImplementedError

    def load(self, *_: object) -> Reconstructor:
        raise NotImplementedError


def test_a_preset_fills_in_what_is_not_given() -> None:
    quick = Painter(preset="quick")
    assert (quick.steps, quick.batch, quick.width) == (100, 32, 8)
    assert Painter().model_dump() == {**quick.model_dump(), "preset": None, "steps": None, "batch": 8}


def test_what_is_given_beside_a_preset_wins_even_where_it_is_the_default() -> None:
    assert (Painter(preset="quick", batch=8).batch, Painter(preset="quick", batch=8).steps) == (8, 100)
    assert Painter(preset="quick", steps=None).steps is None


def test_labels_show_what_was_given_and_nothing_else() -> None:
    assert Painter().label("painter") == "painter"
    assert Painter(preset="quick").label("painter") == "painter(preset=quick)"
    assert Painter(width=2, preset="quick", batch=8).label("painter") == "painter(batch=8, preset=quick, width=2)"


def test_the_parameters_of_a_preset_make_the_same_attacker_again() -> None:
    quick = Painter(preset="quick", width=2)
    assert Painter(**quick.model_dump()).model_dump() == quick.model_dump()
    assert Painter.model_validate_json(quick.model_dump_json()).model_dump() == quick.model_dump()


def test_bounds_and_names_hold_for_presets_too() -> None:
    with pytest.raises(ValidationError, match="batch"):
        Painter(preset="broken")
    with pytest.raises(ValidationError, match="'quick' or 'broken'"):
        Painter(preset="slow")  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="Extra inputs"):
        Painter(preset="quick", depth=3)  # type: ignore[call-arg]
    with pytest.raises(ValidationError, match="frozen"):
        Painter(preset="quick").width = 3


@pytest.mark.parametrize("kind", [CycleGAN, Pix2Pix])
def test_every_preset_can_be_built(kind: type[NetworkAttacker]) -> None:
    for name, values in kind.presets.items():
        made = kind(preset=name)  # type: ignore[call-arg]
        assert {parameter: getattr(made, parameter) for parameter in values} == values


@pytest.mark.parametrize(("kind", "context"), [(Pix2Pix, "2d"), (Inpaint, "2.5d")])
def test_paired_networks_estimate_the_region_and_vary_their_slices_unless_told_otherwise(
    kind: type[PairedNetwork], context: str
) -> None:
    attacker = kind()
    assert (attacker.region, attacker.context, attacker.augment) == ("estimated", context, True)
    assert (attacker.needs, attacker.gpu) == ("paired", True)
