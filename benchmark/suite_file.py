"""What may stand in a suite file, key by key."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from refbench.engines.options import HERE, EngineOptions
from refbench.plugin import param
from refbench.slicing import SliceOptions
from refbench.split_options import SplitOptions
from refbench.trust_options import ControlOptions, Controls, ThreatOptions

RegionName = Literal["front_half", "whole", "face", "changed"]
METRICS = ("correlation", "ssim")
"""Measured where a suite names no metric."""


def _distinct(values: list[Any]) -> list[Any]:
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"{value} stands here twice")
    return values


class Limits(BaseModel):
    """What one job may use before it is stopped."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    minutes: float = param(24 * 60.0, "wall time of one job", unit="minutes", gt=0)
    memory_gb: float | None = param(None, "memory of one job; the machine's own if not given", unit="GB", gt=0)


class SelectionOptions(BaseModel):
    """What decides on validation people which checkpoint of a network is kept, and which weights are used."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: str | None = param(None, "one of the suite's metrics, by name or label; the first if not given")
    region: RegionName = param("changed", "where it is measured")


class TrainingOptions(BaseModel):
    """How networks are trained. All of it may decide a result, and is part of a training's identity."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    deterministic: bool = param(False, "the same bits every time on the same machine, at the cost of speed")
    gpus: int = param(1, "graphics cards that train one network together; without cards it means nothing", ge=1)


class ProbeOptions(BaseModel):
    """How the face of a test person who came once is moved, so that no recognizer knows it by its very voxels."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    tilt_deg: float = param(5.0, "largest angle about each axis", unit="degrees", ge=0, le=30)
    shift_mm: float = param(3.0, "largest shift along each axis", unit="mm", ge=0, le=30)
    noise: float = param(0.02, "Rician noise, as a share of the head's 99.5 percentile", unit="0-1", ge=0, le=0.5)


class SuiteFile(BaseModel):
    """A suite as it is written. A plug-in is its name, or its name with parameters: `blur: {strength_mm: 4}`.

    A parameter given as a list is a sweep: `blur: {strength_mm: [2, 4, 8]}` makes three anonymizers. Relative paths are
    relative to the suite file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str | None = param(None, "name of the suite; the file's own name if not given", pattern=r"^[\w.-]+$")
    description: str = param("", "one sentence for the reader of a leaderboard")
    plugins: list[str] = param([], "Python files that hold plug-ins")
    dataset: str | dict[str, Any] = param("", "where the heads come from; this or `datasets` must be given")
    datasets: dict[Annotated[str, Field(pattern=r"^[\w.-]+$")], str | dict[str, Any]] = param(
        {}, "two data sets or more, by names that then stand before those of people and sites"
    )
    slices: SliceOptions = Field(SliceOptions(), description="how slices are cut from a released volume")
    split: SplitOptions = Field(SplitOptions(), description="who trains, who validates, who tests")
    anonymizers: list[str | dict[str, Any]] = param(..., "what hides the faces", min_length=1)
    attackers: list[str | dict[str, Any]] = param(..., "what brings them back", min_length=1)
    metrics: list[str | dict[str, Any]] = param(list(METRICS), "what is measured", min_length=1)
    regions: Annotated[list[RegionName], AfterValidator(_distinct)] = param(
        list(get_args(RegionName)), "where it is measured", min_length=1
    )
    recognizers: list[str | dict[str, Any]] = param([], "what tells whose face a head has; none if not given")
    head_metrics: list[str | dict[str, Any]] = param([], "what is measured of whole heads; nothing if not given")
    probes: ProbeOptions = Field(ProbeOptions(), description="how faces are shown to recognizers")
    seed: int = param(0, "decides the random numbers of anonymizers, recognizers and probes", ge=0)
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], AfterValidator(_distinct)] = param(
        [0], "one training of every attacker per seed", min_length=1
    )
    controls: Controls = Field(ControlOptions(), description="attacks that tell whether the table can be believed")
    threats: ThreatOptions = Field(ThreatOptions(), description="who attacks beside informed attackers")
    selection: SelectionOptions = Field(SelectionOptions(), description="what is best on validation people")
    training: TrainingOptions = Field(TrainingOptions(), description="how networks are trained")
    limits: Limits = Field(Limits(), description="what one job may use")
    engine: EngineOptions = Field(HERE, description="where jobs run; it decides no result")
    tolerances: dict[str, Annotated[float, Field(ge=0)]] = param(
        {}, "how much the mean of a metric may move before `compare` and `gate` call it a change; 0.01 if not given"
    )

    @model_validator(mode="after")
    def _halves_have_a_front(self) -> Self:
        if self.slices.plane == "coronal" and "front_half" in (*self.regions, self.selection.region):
            others = ", ".join(name for name in get_args(RegionName) if name != "front_half")
            raise ValueError(f"coronal slices have no front half: give `regions` without it ({others})")
        return self
