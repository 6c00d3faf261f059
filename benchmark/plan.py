"""From a suite to its jobs: pure bookkeeping, no volume is opened."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from typing import Any

from refbench.attackers.base import Attacker
from refbench.attacks import Attacks
from refbench.cell_plan import Cell, CellBuilder, lost
from refbench.cohort import Cohort, list_cohort
from refbench.face_plan import FacePlanner, HeadJobs
from refbench.fingerprint import code_fingerprint
from refbench.job import Job
from refbench.leaks import places_of
from refbench.preparation import PlannedScan, ScanBuilder
from refbench.split_options import Part
from refbench.store import FileHashes, Store
from refbench.suite import Chosen, Suite


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
        released_heads: per anonymizer, what is asked of the released heads.
        faces: the gallery of originals and the recognizers, where the suite names any.
        tested: per anonymizer, the test scans whose slices exist, in the order of every array of test images.
        notes: what the reader of the results should know about the cohort.
    """

    suite: Suite
    cohort: Cohort
    scans: tuple[PlannedScan, ...]
    average: Job | None
    releases: tuple[tuple[Job, ...], ...]
    released_heads: tuple[HeadJobs, ...]
    faces: FacePlanner
    cells: tuple[Cell, ...]
    tested: tuple[tuple[PlannedScan, ...], ...]
    notes: tuple[str, ...]

    def stages(self) -> tuple[Stage, ...]:
        """All jobs, stage after stage."""
        return self._stages

    @cached_property
    def _stages(self) -> tuple[Stage, ...]:
        cells: dict[bool, list[list[Job]]] = {False: [], True: []}
        borrowing: dict[bool, list[list[Job]]] = {False: [], True: []}
        composing, supporting = [], dict[str, tuple[bool, Job]]()
        # Attackers share what they learn of the same pairs: side by side, two would learn it twice.
        for cell in sorted(self.cells, key=attrgetter("attack.attacker")):
            attacker = self.suite.attackers[cell.attack.attacker].plugin
            assert isinstance(attacker, Attacker)
            if cell.attack.beside is not None:
                supporting |= {job.key: (attacker.gpu, job) for job in cell.support}
                composing.append([cell.reconstruct])
            elif cell.borrows:
                borrowing[attacker.gpu].append([cell.reconstruct])
            else:
                cells[attacker.gpu].append([cell.train, cell.reconstruct])
        for deep, job in supporting.values():
            borrowing[deep].append([job])
        scores = [[job] for jobs in self.releases for job in jobs]
        scores += [[job] for cell in self.cells for job in cell.judged()]
        scores += [shard for heads in self.heads() for shard in heads.shards()]
        return (
            Stage("prepare", [planned.common() for planned in self.scans]),
            Stage("average", [[job] for job in (self.average, self.faces.frame) if job]),
            Stage(
                "anonymize",
                [*([look] for look in self.faces.looks.values()), *(planned.releases() for planned in self.scans)],
            ),
            Stage("attack", [*cells[False], *([job] for job in self.faces.taught())]),
            Stage("attack (deep)", cells[True], deep=True),
            Stage("attack elsewhere", borrowing[False]),
            Stage("attack elsewhere (deep)", borrowing[True], deep=True),
            Stage("compose", composing),
            Stage("score", scores),
        )

    def heads(self) -> Iterator[HeadJobs]:
        """What is asked of whole heads: of what was released, then of every cell."""
        yield from self.released_heads
        yield from (cell.heads for cell in self.cells)

    def jobs(self) -> Iterator[Job]:
        """Every job, inputs before what needs them."""
        for stage in self._stages:
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
    identities = {(chosen.kind, chosen.label): _plugin_identity(chosen) for chosen in suite.plugins()}
    failed = store.failed()
    preparing = ScanBuilder(suite, identities, FileHashes(store))
    cohort = cohort or list_cohort(suite, preparing, parts)
    prepared = cohort.scans
    training = [item for item in prepared if item.part == "train" and not lost((item.head, item.register), failed)]
    average = preparing.average(training)
    planned = tuple(preparing.release(item, average) for item in prepared)
    faces = FacePlanner(suite, identities, planned, failed)
    places = places_of([chosen.plugin for chosen in suite.datasets.values()], prepared)
    builders = [
        CellBuilder(suite, identities, number, planned, failed, faces, places)
        for number in range(len(suite.anonymizers))
    ]
    releases = tuple(builder.scores(None, f"{builder.hidden.label} released") for builder in builders)
    attacks = Attacks(suite, [item.scan for item in training])
    cells = tuple(builder.cell(attack, builders) for builder in builders for attack in attacks.on(builder.number))
    tested = tuple(builder.tested for builder in builders)
    heads = tuple(builder.heads(None, f"{builder.hidden.label} released") for builder in builders)
    return Plan(suite, cohort, planned, average, releases, heads, faces, cells, tested, cohort.notes(failed))


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
