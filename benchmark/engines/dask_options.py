"""What a suite may say of a Dask cluster."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, model_validator

from refbench.plugin import param

LOCAL_CLUSTER = "dask.distributed.LocalCluster"


class DaskOptions(BaseModel):
    """A cluster that is there already, or a class that makes one and ends it with the run.

    Workers see the same folders as the runner, by the same paths, and have the same refbench installed. Trainings of
    networks go to workers that offer the resource `GPU`, where there are any.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    scheduler: str | None = param(
        None, "address of a scheduler that is there, or the file that it wrote; relative to the suite file"
    )
    cluster: str = param(LOCAL_CLUSTER, "class that makes a cluster, by its dotted path", pattern=r"^\w+(\.\w+)+$")
    cluster_options: dict[str, Any] = param({}, "what the class takes, by name")
    workers: int | None = param(None, "workers that the made cluster is asked for; its own number if not given", ge=1)
    bundle: int = param(
        8, "subjects or tables that one task works off, one after another; a training has its own", ge=1
    )
    wait_minutes: float = param(10.0, "how long the first worker may take to come", unit="minutes", gt=0)

    @model_validator(mode="after")
    def _one_cluster(self) -> Self:
        if self.scheduler is not None and self.model_fields_set & {"cluster", "cluster_options", "workers"}:
            raise ValueError("name a `scheduler` that is there, or a `cluster` to make, not both")
        return self
