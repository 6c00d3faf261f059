"""From a suite to its jobs: pure bookkeeping, no volume is opened."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from refbench.attackers.base import Attacker
from refbench.attackers.options import NetworkAttacker
from refbench.cohort import Cohort, list_cohort
from refbench.fingerprint import code_fingerprint, digest
from refbench.job import Job
from refbench.preparation import PlannedScan, ScanBuilder
from refbench.share import nested_order
from refbench.split_options import Part
from refbench.store import FileHashes, Store
from refbench.suite import Chosen, Suite


@dataclass(frozen=True)
class Cell:
    """One anonymizer against one attacker with one seed. `scores`: one job per metric of the suite."""

    anonymizer: int
    attacker: int
    seed: int
    train: Job
    reconstruct: Job
    scores: tuple[Job, ...]


@dataclass(frozen=True)
class Stage:
    """Part of a plan that must end before the next begins.

    Attributes:
        shards: independent of each other; the jobs of one run in their order.
        deep: trainings that are worth a GPU each, or else share all cores.
    """

    name: str
    shards: list[list[Job]]
    deep: bool = False


@dataclass(frozen=True)
class Plan:
    """All jobs of a suite.

    Attributes:
        cohort: who takes part, and in which part of the split.
        scans: theirs, in order.
        average: the average head of the training subjects, where an anonymizer wants it.
        releases: per anonymizer, the score jobs of what was released, without attack (one per metric).
        tested: per anonymizer, the test scans whose slices exist, in the order of every array of test images.
        notes: what the reader of the results should know about the cohort.
    """

    suite: Suite
    cohort: Cohort
    scans: tuple[PlannedScan, ...]
    average: Job | None
    releases: tuple[tuple[Job, ...], ...]
    cells: tuple[Cell, ...]
    tested: tuple[tuple[PlannedScan, ...], ...]
    notes: tuple[str, ...]

    def stages(self) -> list[Stage]:
        """All jobs, stage after stage."""
        cells: dict[bool, list[list[Job]]] = {False: [], True: []}
        # Attackers share what they learn of the same pairs: side by side, two would learn it twice.
        for cell in sorted(self.cells, key=attrgetter("attacker")):
            attacker = self.suite.attackers[cell.attacker].plugin
            assert isinstance(attacker, Attacker)
            cells[attacker.gpu].append([cell.train, cell.reconstruct])
        scores = [[job] for jobs in self.releases for job in jobs]
        scores += [[job] for cell in self.cells for job in cell.scores]
        return [
            Stage("prepare", [planned.common() for planned in self.scans]),
            Stage("average", [[self.average]] if self.average else []),
            Stage("anonymize", [planned.releases() for planned in self.scans]),
            Stage("attack", cells[False]),
            Stage("attack (deep)", cells[True], deep=True),
            Stage("score", scores),
        ]

    def jobs(self) -> Iterator[Job]:
        """Every job, inputs before what needs them."""
        for stage in self.stages():
            for shard in stage.shards:
                yield from shard


def build_plan(
    suite: Suite, store: Store, cohort: Cohort | None = None, parts: Mapping[str, Part] | None = None
) -> Plan:
    """Lay out every job of a suite, given what has failed so far.

    Scans whose preparation failed are left out of the trainings and tests that would need them; a plan made before
    anything ran assumes that all goes well.

    Args:
        suite: what to run.
        store: what is there already.
        cohort: that of an earlier plan of the same run, so that a file that vanished since then costs its own subject
            and redraws nobody; listed anew if not given.
        parts: subject to part, in place of the suite's own split.

    Raises:
        DataError: the dataset cannot be listed or split, nobody is left for a part of the split, or one head is in
            two parts.
    """
    everything = (suite.dataset, *suite.anonymizers, *suite.attackers, *suite.metrics)
    identities = {(chosen.kind, chosen.label): _plugin_identity(chosen) for chosen in everything}
    failed = store.failed()
    preparing = ScanBuilder(suite, identities, FileHashes(store))
    cohort = cohort or list_cohort(suite, preparing, parts)
    prepared = cohort.scans
    training = [item for item in prepared if item.part == "train" and not _failed((item.head, item.register), failed)]
    average = preparing.average(training)
    planned = tuple(preparing.release(item, average) for item in prepared)
    builder = _Builder(suite, identities, failed)
    tested = tuple(
        tuple(item for item in planned if item.part == "test" and builder.usable(item, number))
        for number in range(len(suite.anonymizers))
    )
    releases = tuple(
        builder.scores(number, items, None, f"{hidden.label} released")
        for number, (hidden, items) in enumerate(zip(suite.anonymizers, tested, strict=True))
    )
    cells = tuple(
        builder.cell(number, attacker, seed, planned, tested[number])
        for number in range(len(suite.anonymizers))
        for attacker in range(len(suite.attackers))
        for seed in suite.file.seeds
    )
    return Plan(suite, cohort, planned, average, releases, cells, tested, cohort.notes(failed))


def open_jobs(plan: Plan, store: Store, *, whole: bool = False) -> frozenset[str]:
    """Keys of what is to be run: jobs without an end, but for those whose result was dropped and nobody needs.

    Args:
        plan: all jobs.
        store: what there is.
        whole: make all of what was dropped again.
    """
    ended = frozenset(store.keys()).difference(store.replaced()).union(store.failed())
    dropped = frozenset(() if whole else store.dropped_keys())
    waiting, needed = set[str](), set[str]()
    for job in reversed(list(plan.jobs())):  # whoever needs a job stands behind it
        if job.key not in ended and (job.key in needed or job.key not in dropped):
            waiting.add(job.key)
            needed.update(job.needs)
    return frozenset(waiting)


@dataclass(frozen=True)
class _Builder:
    suite: Suite
    identities: Mapping[tuple[str, str], dict[str, Any]]
    failed: frozenset[str]

    def identity(self, chosen: Chosen) -> dict[str, Any]:
        return self.identities[chosen.kind, chosen.label]

    def usable(self, planned: PlannedScan, anonymizer: int) -> bool:
        return not _failed(planned.chain(anonymizer), self.failed)

    def cell(
        self, anonymizer: int, attacker: int, seed: int, planned: Sequence[PlannedScan], tested: Sequence[PlannedScan]
    ) -> Cell:
        hidden, chosen = self.suite.anonymizers[anonymizer], self.suite.attackers[attacker]
        name = f"{hidden.label} × {chosen.label}" + (f" seed {seed}" if len(self.suite.file.seeds) > 1 else "")
        train = self.train(anonymizer, chosen, seed, planned, name)
        test = [item.slices[anonymizer].key for item in tested]
        identity = self.identity(chosen)
        reconstruct = Job(
            "reconstruct",
            f"reconstruct {name}",
            {
                "attacker": identity,
                "trained": train.key,
                "test": test,
                "code": code_fingerprint("refbench.jobs.reconstruct"),
            },
            needs=(train.key, *test),
        )
        return Cell(anonymizer, attacker, seed, train, reconstruct, self.scores(anonymizer, tested, reconstruct, name))

    def train(self, anonymizer: int, chosen: Chosen, seed: int, planned: Sequence[PlannedScan], name: str) -> Job:
        attacker, options = chosen.plugin, self.suite.file.training
        assert isinstance(attacker, Attacker)
        usable = [item for item in planned if self.usable(item, anonymizer)]
        learning = self.share(attacker.share, planned, usable)
        people = {
            "train": _by_person((item for item in usable if item.scan.subject in learning), anonymizer),
            "validation": _by_person((item for item in usable if item.part == "validation"), anonymizer),
        }
        identity = {
            "attacker": self.identity(chosen),
            "seed": seed,
            "selection": {"metric": self.identity(self.suite.judge), "region": self.suite.file.selection.region},
            "deterministic": options.deterministic,
            "gpus": options.gpus if isinstance(attacker, NetworkAttacker) else 1,
            "code": code_fingerprint("refbench.jobs.train"),
            **people,
        }
        needs = tuple(key for part in people.values() for person in part for key in person)
        pairs = digest([people, code_fingerprint("refbench.attackers.inpainting")])
        where = {"choices": "choices", "shared": f"shared/{pairs}"}
        return Job("train", f"train {name}", identity, needs, where)

    def share(self, share: float, planned: Sequence[PlannedScan], usable: Sequence[PlannedScan]) -> frozenset[str]:
        """A share of the training people whose slices exist, at least one."""
        sites = {item.scan.subject: item.scan.site for item in planned if item.part == "train"}
        there = {item.scan.subject for item in usable}
        ordered = [person for person in nested_order(sites, self.suite.file.split.seed) if person in there]
        return frozenset(ordered[: max(1, round(share * len(ordered)))])

    def scores(
        self, anonymizer: int, tested: Sequence[PlannedScan], reconstruct: Job | None, name: str
    ) -> tuple[Job, ...]:
        test = [item.slices[anonymizer].key for item in tested]
        made = (reconstruct.key,) if reconstruct else ()
        return tuple(
            Job(
                "score",
                f"score {metric.label} {name}",
                {
                    "metric": self.identity(metric),
                    "regions": list(self.suite.file.regions),
                    "test": test,
                    "reconstructed": reconstruct.key if reconstruct else None,
                    "code": code_fingerprint("refbench.jobs.score"),
                },
                needs=(*made, *test),
            )
            for metric in self.suite.metrics
        )


def _by_person(items: Iterable[PlannedScan], anonymizer: int) -> list[list[str]]:
    """Keys of slices, a list for each person."""
    people: dict[str, list[str]] = {}
    for item in items:
        people.setdefault(item.scan.subject, []).append(item.slices[anonymizer].key)
    return list(people.values())


def _failed(jobs: Iterable[Job | None], failed: frozenset[str]) -> bool:
    return any(job.key in failed for job in jobs if job)


def _plugin_identity(chosen: Chosen) -> dict[str, Any]:
    plugin = chosen.plugin
    return {
        "kind": chosen.kind,
        "name": chosen.name,
        "revision": plugin.revision,
        "params": chosen.params,
        "code": code_fingerprint(type(plugin).__module__),
        "tools": dict(plugin.tool_versions()),
    }
