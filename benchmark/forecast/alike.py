"""Which jobs are alike: what one of them took tells what the others will take."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from refbench.attackers.base import Attacker
from refbench.attackers.options import NetworkAttacker
from refbench.fingerprint import canonical_json
from refbench.plan import Plan
from refbench.slicing import SliceOptions
from refbench.suite import Chosen

AMOUNTS = frozenset({"epochs", "steps", "share"})
"""Parameters of attackers that only say how much is done: time grows with it."""


@dataclass(frozen=True)
class Group:
    """Jobs of one plan that are alike.

    Attributes:
        what: their kind, and whose they are, for people.
        family: the same in all runs of a store for jobs that differ in nothing but the amount of their work.
        kin: the same where parameters differ, too, but hardly the time; empty if there is no such thing.
        stage: in which they run, see `Plan.stages`.
        cards: graphics cards that each has where there are any; 0: none anywhere.
        default: seconds that each may take by its options; None: only records can tell.
        size: bytes of a result for a unit of work, where options tell; None: only records can tell.
    """

    what: str
    family: str
    kin: str
    stage: str
    cards: int = 0
    default: float | None = None
    size: float | None = None


@dataclass(frozen=True)
class Item:
    """One job, by its key. `work`: what its time grows with, in units that mean something within its family alone."""

    key: str
    group: Group
    work: float = 1.0


def items(plan: Plan) -> Iterator[Item]:
    """Every job of a plan, in the order in which they run."""
    suite = plan.suite
    slices, data = suite.file.slices, suite.data_names
    cut = f"{slices.count} x {slices.size}"  # what is no network does not grow evenly with these
    pixels = float(slices.count * slices.size**2)
    stored = 2.0 * pixels * (np.dtype(slices.storage).itemsize + 1)  # two images, two masks
    for scan in plan.scans:
        for job in scan.common():
            family = f"{job.kind} {suite.datasets[scan.scan.dataset].name}"
            yield Item(job.key, Group(family if scan.scan.dataset else job.kind, family, "", "prepare"))
    if plan.average:
        yield Item(plan.average.key, Group("average", f"average {data}", "", "average"), len(plan.average.needs))
    for number, hidden in enumerate(suite.anonymizers):
        groups = [_of_anonymizer(kind, hidden, data) for kind in ("anonymize", "check")]
        groups.append(Group(f"slice {hidden.label}", f"slice {data} {cut}", "", "anonymize", size=stored))
        for scan in plan.scans:
            for group, jobs in zip(groups, (scan.anonymized, scan.checks, scan.slices), strict=True):
                yield Item(jobs[number].key, group)
    attackers = [_of_attacker(chosen, suite.file.training.gpus, slices) for chosen in suite.attackers]
    for cell in plan.cells:
        train, reconstruct = attackers[cell.attack.attacker]
        people, tested = len(cell.train.identity["train"]), len(cell.reconstruct.identity["test"])
        if not cell.borrows:
            yield Item(cell.train.key, train, _work(suite.attackers[cell.attack.attacker], people, slices))
        yield from (Item(job.key, reconstruct, len(job.identity["test"]) * pixels) for job in cell.support)
        compose = Group("compose", f"compose {cut}", "", "compose")
        yield Item(cell.reconstruct.key, compose if cell.support else reconstruct, tested * pixels)
        if cell.memory:
            yield Item(cell.memory.key, Group("memory", f"memory {cut}", "", "score"), tested * people)
    yield from _of_faces(plan, data)
    regions = ", ".join(suite.file.regions)
    scores = [Group(f"score {one.label}", f"score {one.label} {cut} {regions}", "", "score") for one in suite.metrics]
    for jobs in (*plan.releases, *(cell.scores for cell in plan.cells)):
        for group, job in zip(scores, jobs, strict=True):
            yield Item(job.key, group, len(job.identity["test"]))


def _of_faces(plan: Plan, data: str) -> Iterator[Item]:
    """Jobs about whole heads; work is counted in heads."""
    if plan.faces.frame:
        group = Group("frame", f"frame {data}", "", "average")
        yield Item(plan.faces.frame.key, group, len(plan.faces.frame.needs))
    original = Group("look original", f"look {data}", "", "anonymize")
    yield from (Item(job.key, original) for job in plan.faces.looks.values())
    recognizers = [chosen.label for chosen in plan.suite.recognizers]
    for label, job in zip(recognizers, plan.faces.recognizers, strict=True):
        yield Item(job.key, Group(f"recognize {label}", f"recognize {label}", "", "attack"), len(job.needs))
    if plan.faces.twins:
        yield Item(plan.faces.twins.key, Group("twins", f"twins {data}", "", "attack"), len(plan.faces.twins.needs))
    look = Group("look", f"look {data} released", "", "score")
    identify = [Group(f"identify {label}", f"identify {label}", "", "score") for label in recognizers]
    measured = [chosen.label for chosen in plan.suite.head_metrics]
    measures = [Group(f"measure {label}", f"measure {label} {data}", "", "score") for label in measured]
    for heads in plan.heads():
        if heads.look:
            yield Item(heads.look.key, look, len(heads.probes))
        for groups, jobs in ((identify, heads.identify), (measures, heads.measures)):
            for group, job in zip(groups, jobs, strict=False):  # of nobody in the gallery nobody asks
                yield Item(job.key, group, len(heads.probes))


def _of_anonymizer(kind: str, chosen: Chosen, data: str) -> Group:
    what = f"{kind} {chosen.label}"
    return Group(what, f"{what} {data}", f"{kind} {chosen.name} {data}", "anonymize")


def _of_attacker(chosen: Chosen, gpus: int, slices: SliceOptions) -> tuple[Group, Group]:
    """Groups of its trainings and reconstructions."""
    attacker = chosen.plugin
    assert isinstance(attacker, Attacker)
    stage = "attack (deep)" if attacker.gpu else "attack"
    shown = attacker.model_dump(mode="json", exclude_unset=True, exclude=set(AMOUNTS))
    family, cards, default = f"{chosen.name} {canonical_json(shown)}", int(attacker.gpu), None
    if isinstance(attacker, NetworkAttacker):
        family, cards = f"{family} x{gpus}", gpus
        default = attacker.budget_minutes and 60.0 * attacker.budget_minutes
    else:
        family += f" {slices.count} x {slices.size}"
    train = Group(f"train {chosen.label}", f"train {family}", "", stage, cards, default)
    return train, Group(f"reconstruct {chosen.label}", f"reconstruct {family}", "", stage, cards, size=4.0)


def _work(chosen: Chosen, people: int, slices: SliceOptions) -> float:
    """Pixels that a training on so many people is shown in all; 1 where its time is given."""
    attacker, images = chosen.plugin, people * slices.count
    if isinstance(attacker, NetworkAttacker):
        if attacker.budget_minutes is not None:
            return 1.0
        images = attacker.epochs * images if attacker.steps is None else attacker.steps * attacker.batch
    return float(images * slices.size**2)
