"""How many jobs run side by side, as far as that can be told before they do."""

from __future__ import annotations

from refbench.engines.local import places
from refbench.engines.options import EngineOptions
from refbench.machine import jobs_side_by_side
from refbench.plan import Plan, Stage


def at_once(plan: Plan, engine: EngineOptions, slots: int | None) -> dict[str, int | None]:
    """Shards that run at the same time, by stage; None: only the cluster knows.

    Of SLURM it is what it is allowed to do; how long tasks wait for others' nobody can tell.

    Args:
        plan: whose stages.
        engine: where they run.
        slots: jobs side by side on this machine; as many as have room if not given.
    """
    file = plan.suite.file
    own = slots or jobs_side_by_side(file.limits.memory_gb)
    return {stage.name: _at_once(stage, engine, own, file.training.gpus) for stage in plan.stages()}


def _at_once(stage: Stage, engine: EngineOptions, slots: int, cards: int) -> int | None:
    shards = max(1, len(stage.shards))
    if engine.name == "dask":
        return None
    if engine.name == "slurm":
        slurm = engine.slurm
        bundle = max(1 if stage.deep else slurm.bundle, -(-shards // slurm.max_array))
        return min(slurm.parallel, -(-shards // bundle))
    return min(shards, len(places(slots, shards if stage.deep else 0, cards)))


def device(plan: Plan, engine: EngineOptions) -> str | None:
    """What networks are trained on: cpu, cuda, or None where only the cluster knows."""
    if engine.name == "dask":
        return None
    if engine.name == "slurm":
        return "cuda" if engine.slurm.use_gpus else "cpu"
    return places(1, 1, plan.suite.file.training.gpus)[0].partition(":")[0]
