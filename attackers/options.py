"""Parameters that trained networks have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import ModelWrapValidatorHandler, model_validator

from refbench.attackers.base import Attacker
from refbench.attackers.inpainting import KnownOrEstimated
from refbench.plugin import param

Precision = Literal["auto", "float32", "bfloat16"]


class NetworkAttacker(Attacker):
    """An attacker that trains a network step by step.

    A subclass with presets declares `preset: Literal[...] | None` and lists in `presets` what each stands for; a
    parameter that is given beside a preset wins, and both stand in the label.
    """

    gpu: ClassVar[bool] = True
    batch_parameter: ClassVar[str | None] = "batch"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    batch: int = param(8, "slices per step", ge=1)
    epochs: int = param(200, "passes over the training slices", ge=1)
    steps: int | None = param(None, "optimiser steps in place of epochs", ge=1)
    budget_minutes: float | None = param(
        None, "stop and decay the learning rate by time, not by steps; such a training is never quite repeatable", gt=0
    )
    learning_rate: float = param(2e-4, "learning rate of Adam", gt=0)
    validations: int = param(
        10, "times that the validation people are asked; the best network so far is kept (0: the last)", ge=0
    )
    patience: int | None = param(None, "stop after so many validations without a better one", ge=1)
    precision: Precision = param("auto", "numbers that are computed with; auto: what is fastest here, by measurement")

    @model_validator(mode="wrap")
    @classmethod
    def _fill_in_preset(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        made = handler(data)
        values = cls.presets.get(getattr(made, "preset", None) or "", {})
        if not values or not isinstance(data, dict):
            return made
        given = set(made.model_fields_set)
        filled = handler({**values, **data})
        filled.model_fields_set.intersection_update(given)  # the label shows what was given
        return filled


class PairedNetwork(NetworkAttacker):
    """A network that learns from pairs."""

    region: KnownOrEstimated = param(
        "estimated", "whether the changed region is estimated from the released images or told"
    )
    context: Literal["2d", "2.5d"] = param("2d", "2.5d: the slices on either side are shown, too")
    augment: bool = param(True, "turn, stretch and shift training slices a little, at random")
