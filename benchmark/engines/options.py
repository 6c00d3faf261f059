"""The suite's key `engine`: which engine runs the jobs, and its options. Neither decides a result."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema

from refbench.engines.dask_options import DaskOptions
from refbench.engines.slurm_options import SlurmOptions
from refbench.registry import closest


class LocalOptions(BaseModel):
    """This machine; `refbench run --jobs` says how many jobs run side by side."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class EngineOptions(BaseModel):
    """One engine, written as its name, or as its name with options: `dask: {scheduler: "tcp://head:8786"}`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    local: LocalOptions = Field(LocalOptions(), description="this machine")
    dask: DaskOptions = Field(DaskOptions(), description="a cluster of dask.distributed")
    slurm: SlurmOptions = Field(SlurmOptions(), description="a SLURM cluster")

    @model_validator(mode="before")
    @classmethod
    def _one_name(cls, written: Any) -> Any:
        named = {written: None} if isinstance(written, str) else written
        if isinstance(named, cls):
            return named
        if not isinstance(named, dict) or len(named) != 1:
            raise ValueError("name one engine, alone or with its options: `name` or `name: {option: value}`")
        for name in named:
            if name not in cls.model_fields:
                raise ValueError(f"there is no such engine{closest(name, cls.model_fields)}")
        return {name: {} if options is None else options for name, options in named.items()}

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        own = handler.resolve_ref_schema(handler(core))
        return {"anyOf": [{"enum": list(cls.model_fields)}, {**own, "minProperties": 1, "maxProperties": 1}]}

    @property
    def name(self) -> str:
        """The engine that was named; `local` if none was."""
        return next(iter(self.model_fields_set), "local")

    def written(self) -> dict[str, Any]:
        """The options that were given, as JSON values."""
        options: BaseModel = getattr(self, self.name)
        return options.model_dump(mode="json", exclude_unset=True)


HERE = EngineOptions.model_validate("local")
"""This machine: where nothing else is said."""
