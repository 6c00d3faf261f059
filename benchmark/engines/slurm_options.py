"""What a suite may say of a SLURM cluster."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from refbench.plugin import param

OWN = {"array", "error", "job-name", "open-mode", "output", "requeue", "signal", "time"}
"""Options of sbatch that the engine sets itself."""


def _options_of_sbatch(given: dict[str, str | int]) -> dict[str, str | int]:
    for name, value in given.items():
        if name in OWN:
            raise ValueError(f"{name} is set by refbench")
        if "\n" in str(value):
            raise ValueError(f"{name} is more than one line")
    return given


OptionName = Annotated[str, Field(pattern=r"^[a-z][a-z-]+$")]
Sbatch = Annotated[dict[OptionName, str | int | Literal[True]], AfterValidator(_options_of_sbatch)]


class TaskOptions(BaseModel):
    """What one task asks the cluster for."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    partition: str | None = param(None, "where it waits; the cluster's default if not given")
    minutes: int = param(240, "time limit; shortly before it, a task stops and goes on in its next turn", ge=1)
    cpus: int = param(1, "cores; only networks that train on the processor use more than one", ge=1)
    memory_gb: float | None = param(None, "memory; the cluster's default if not given", unit="GB", gt=0)
    sbatch: Sbatch = param({}, "further options of sbatch by their long names; `exclusive: true` for one without value")


class SlurmOptions(BaseModel):
    """How jobs run on a SLURM cluster, whose nodes see the same folders, by the same paths, as the login node.

    A suite that comes from somebody else may run commands on your nodes by `setup`, as it may by its plug-ins.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    account: str | None = param(None, "who pays; your default account if not given")
    setup: list[str] = param([], "lines of shell before each task: `module load ...`, `export ...`")
    sbatch: Sbatch = param({}, "further options of sbatch for all tasks, by their long names: `qos: long`")
    tasks: TaskOptions = Field(default=TaskOptions(), description="preparation, attackers without networks, scores")
    trainings: TaskOptions = Field(
        default=TaskOptions(cpus=4), description="trainings of networks, each a task of its own"
    )
    runner: TaskOptions = Field(
        default=TaskOptions(minutes=24 * 60),
        description="with --detach, the task that hands in all others and collects the tables",
    )
    use_gpus: bool = param(True, "trainings ask for graphics cards, as many as `training.gpus` says")
    bundle: int = param(8, "subjects, cells or tables that one task works off, one after another", ge=1)
    max_array: int = param(
        1000, "most tasks that are handed in at once; the bundles grow where there would be more", ge=1
    )
    parallel: int = param(256, "most tasks that run at the same time", ge=1)
    notice_seconds: int = param(120, "how long before its time limit a task is told to stop", unit="s", ge=10)
    turns: int = param(20, "how often a task may go on after its time limit", ge=0)

    @model_validator(mode="after")
    def _notice_comes_late(self) -> Self:
        shortest = min(options.minutes for options in (self.tasks, self.trainings, self.runner))
        if self.notice_seconds > 30 * shortest:
            raise ValueError(f"notice_seconds: at most half of the shortest time limit, which is {shortest} minutes")
        return self
