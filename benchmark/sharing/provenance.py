"""What a bundle says of how its scores were made: a closed list, in place of all that a run knows."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from refbench.results import Run
from refbench.sharing.texts import cleaned

Short = Annotated[str, Field(max_length=4000)]
Plain = str | int | float | bool | None


class Environment(BaseModel):
    """Versions and hardware."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    python: Short = ""
    system: Short = ""
    cpu: Short = ""
    cores: int | None = None
    gpus: list[Short] = []
    packages: dict[Short, Short] = {}


class Split(BaseModel):
    """How people were divided, how many are in each part, and a digest of who."""

    model_config = ConfigDict(frozen=True, extra="allow")

    method: Short = ""
    people: dict[str, int] = {}
    digest: Short | None = None


class Provenance(BaseModel):
    """What was run, when, on what, by whom if they say so.

    Attributes:
        run: the suite's name and a salted hash of the run's own: that one is a hash of the suite with its paths, which
            could be guessed by it.
        date: the day the run began, UTC. by: who made it, in their own words; empty if they do not say.
        pseudonyms: which pseudonyms its people go by, see `Pseudonyms.naming`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: Short
    suite: Short
    description: Short = ""
    by: Short = ""
    date: Short = ""
    seconds: float = 0
    dataset: Short
    slices: dict[str, Plain]
    split: Split
    selection: dict[str, Plain] = {}
    training: dict[str, Plain] = {}
    environment: Environment = Environment()
    notes: list[Short] = []
    pseudonyms: Short


def provenance_of(run: Run, name: str, naming: str, by: str, secrets: Collection[str]) -> Provenance:
    """Reduce a run's `run.json`, its free texts without what is secret."""
    info = {key: own for key, own in run.info.items() if key in Provenance.model_fields}
    told: dict[str, Any] = cleaned(info, secrets)
    started = run.info.get("started")
    date = datetime.fromtimestamp(started, UTC).date().isoformat() if started else ""
    return Provenance.model_validate(told | {"run": name, "pseudonyms": naming, "by": by, "date": date})
