"""From a suite to its jobs: pure bookkeeping, no volume is opened."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter
from typing import Any

from refbench.attackers.base import Attacker
from refbench.attackers.options import NetworkAttacker
from refbench.attacks import Attack, Attacks, control_of
from refbench.cohort import Cohort, list_cohort
from refbench.datasets.base import Dataset
from refbench.face_plan import FacePlanner, HeadJobs
from refbench.fingerprint import code_fingerprint, digest
from refbench.job import Job
from refbench.leaks import places_of
from refbench.preparation import PlannedScan, ScanBuilder
from refbench.share import nested_order
from refbench.split_options import Part
from refbench.store import FileHashes, Store
from refbench.suite import Chosen, Suite


@dataclass(frozen=True)
class Cell:
    """One anonymizer against one attack.

    Attributes:
        scores: one job per metric. heads: of whole heads.
        memory: whether reconstructions are copies of training faces; None where nobody asks.
    """

    anonymizer: int
    attack: Attack
    train: Job
    reconstruct: Job
    scores: tuple[Job, ...]
    heads: HeadJobs
    memory: Job | None = None

    @property
    def borrows(self) -> bool:
        """Whether its training is that of another anonymizer's cell."""
        return self.attack.learnt_on != self.anonymizer

    def judged(self) -> list[Job]:
        """What is asked of its reconstructions, slice by slice."""
        return [*self.scores, *([self.memory] if self.memory else [])]


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
        # Attackers share what they learn of the same pairs: side by side, two would learn it twice.
        for cell in sorted(self.cells, key=attrgetter("attack.attacker")):
            attacker = self.suite.attackers[cell.attack.attacker].plugin
            assert isinstance(attacker, Attacker)
            if cell.borrows:
                borrowing[attacker.gpu].append([cell.reconstruct])
            else:
                cells[attacker.gpu].append([cell.train, cell.reconstruct])
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
    training = [item for item in prepared if item.part == "train" and not _failed((item.head, item.register), failed)]
    average = preparing.average(training)
    planned = tuple(preparing.release(item, average) for item in prepared)
    faces = FacePlanner(suite, identities, planned, failed)
    assert isinstance(suite.dataset.plugin, Dataset)
    places = places_of(suite.dataset.plugin, prepared)
    builders = [
        _Builder(suite, identities, number, planned, failed, faces, places) for number in range(len(suite.anonymizers))
    ]
    releases = tuple(builder.scores(None, f"{builder.hidden.label} released") for builder in builders)
    attacks = Attacks(suite, sorted({item.scan.site for item in training}))
    cells = tuple(
        builder.cell(attack, builders[attack.learnt_on])
        for builder in builders
        for attack in attacks.on(builder.number)
    )
    tested = tuple(builder.tested for builder in builders)
    heads = tuple(
        faces.of_release(builder.number, builder.tested, f"{builder.hidden.label} released") for builder in builders
    )
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


@dataclass(frozen=True)
class _Shown:
    """What the trainings of one anonymizer on some of the people have in common."""

    people: dict[str, list[list[str]]]
    needs: tuple[str, ...]
    where: dict[str, str]


@dataclass(frozen=True)
class _Builder:
    """Makes the jobs of one anonymizer's cells; what they have in common is found once, and held once."""

    suite: Suite
    identities: Mapping[tuple[str, str], dict[str, Any]]
    number: int
    planned: Sequence[PlannedScan]
    failed: frozenset[str]
    faces: FacePlanner
    places: Sequence[str]
    _shown: dict[tuple[float, str], _Shown] = field(default_factory=dict)

    def identity(self, chosen: Chosen) -> dict[str, Any]:
        return self.identities[chosen.kind, chosen.label]

    @property
    def hidden(self) -> Chosen:
        return self.suite.anonymizers[self.number]

    @cached_property
    def usable(self) -> tuple[PlannedScan, ...]:
        return tuple(item for item in self.planned if not _failed(item.chain(self.number), self.failed))

    @cached_property
    def tested(self) -> tuple[PlannedScan, ...]:
        return tuple(item for item in self.usable if item.part == "test")

    @cached_property
    def test(self) -> list[str]:
        return [item.slices[self.number].key for item in self.tested]

    def cell(self, attack: Attack, teacher: _Builder) -> Cell:
        """One attack on this anonymizer, learnt from the pairs of `teacher`'s."""
        chosen = self.suite.attackers[attack.attacker]
        several = len(self.suite.file.seeds) > 1
        name = f"{self.hidden.label} × {attack.label(self.suite)}" + (f" seed {attack.seed}" if several else "")
        train = teacher.train(attack, f"{teacher.hidden.label} × {chosen.label}" if teacher is not self else name)
        reconstruct = Job(
            "reconstruct",
            f"reconstruct {name}",
            {
                "attacker": self.identity(chosen),
                "trained": train.key,
                "test": self.test,
                "code": code_fingerprint("refbench.jobs.reconstruct"),
            },
            needs=(train.key, *self.test),
            where={"dataset": self.places},
        )
        if attack.control:
            heads = self.faces.nothing
        else:
            heads = self.faces.of_cell(self.number, self.tested, name, reconstruct)
        memory = None if self._exempt(attack) else self.memory(attack, reconstruct, name)
        return Cell(self.number, attack, train, reconstruct, self.scores(reconstruct, name), heads, memory)

    def _exempt(self, attack: Attack) -> bool:
        """From being asked for copies: controls, and baselines, some of which copy on purpose."""
        plugin = self.suite.attackers[attack.attacker].plugin
        assert isinstance(plugin, Attacker)
        control = attack.control or control_of(self.hidden)
        return bool(control) or plugin.floor or not self.suite.file.controls.memory

    def memory(self, attack: Attack, reconstruct: Job, name: str) -> Job:
        attacker = self.suite.attackers[attack.attacker].plugin
        assert isinstance(attacker, Attacker)
        # Their faces are the same whatever hid them, and lie where this anonymizer's test people's do.
        learnt_from = self.shown(attacker.share, attack.site).people["train"]
        people = {subject: n for n, subject in enumerate(dict.fromkeys(item.scan.subject for item in self.tested))}
        identity = {
            "test": self.test,
            "people": [people[item.scan.subject] for item in self.tested],
            "train": learnt_from,
            "reconstructed": reconstruct.key,
            "code": code_fingerprint("refbench.jobs.memory"),
        }
        faces = [key for person in learnt_from for key in person]
        return Job("memory", f"memory {name}", identity, needs=(reconstruct.key, *self.test, *faces))

    def train(self, attack: Attack, name: str) -> Job:
        chosen, options = self.suite.attackers[attack.attacker], self.suite.file.training
        attacker = chosen.plugin
        assert isinstance(attacker, Attacker)
        shown = self.shown(attacker.share, attack.site)
        identity = {
            "attacker": self.identity(chosen),
            "seed": attack.seed,
            "selection": {"metric": self.identity(self.suite.judge), "region": self.suite.file.selection.region},
            "deterministic": options.deterministic,
            "gpus": options.gpus if isinstance(attacker, NetworkAttacker) else 1,
            "wrong_pairs": attack.control == "shuffled",
            "code": code_fingerprint("refbench.jobs.train"),
            **shown.people,
        }
        return Job("train", f"train {name}", identity, shown.needs, {**shown.where, "dataset": self.places})

    def shown(self, share: float, site: str) -> _Shown:
        """What an attacker learns from that sees a share of the training people, of one site or of all."""
        if (share, site) not in self._shown:
            self._shown[share, site] = self._show(share, site)
        return self._shown[share, site]

    def _show(self, share: float, site: str) -> _Shown:
        there = [item for item in self.usable if site in ("", item.scan.site)]
        learning = self._share(share, there)
        people = {
            "train": _by_person((item for item in there if item.scan.subject in learning), self.number),
            "validation": _by_person((item for item in there if item.part == "validation"), self.number),
        }
        needs = tuple(key for part in people.values() for person in part for key in person)
        pairs = digest([people, code_fingerprint("refbench.attackers.inpainting")])
        return _Shown(people, needs, {"choices": "choices", "shared": f"shared/{pairs}"})

    def _share(self, share: float, there: Sequence[PlannedScan]) -> frozenset[str]:
        """A share of those of the training people whose slices exist, at least one."""
        sites = {item.scan.subject: item.scan.site for item in self.planned if item.part == "train"}
        present = {item.scan.subject for item in there}
        ordered = [person for person in nested_order(sites, self.suite.file.split.seed) if person in present]
        return frozenset(ordered[: max(1, round(share * len(ordered)))])

    def scores(self, reconstruct: Job | None, name: str) -> tuple[Job, ...]:
        made = (reconstruct.key,) if reconstruct else ()
        needs = (*made, *self.test)
        return tuple(
            Job(
                "score",
                f"score {metric.label} {name}",
                {
                    "metric": self.identity(metric),
                    "regions": list(self.suite.file.regions),
                    "test": self.test,
                    "reconstructed": reconstruct.key if reconstruct else None,
                    "code": code_fingerprint("refbench.jobs.score"),
                },
                needs=needs,
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
