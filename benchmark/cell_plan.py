"""From an anonymizer and the attacks on it to jobs: who learns from whom, what is made of what was released."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from refbench.attackers.base import Attacker
from refbench.attackers.options import NetworkAttacker
from refbench.attacks import Attack, control_of
from refbench.composition import Attacked, compose_job
from refbench.face_plan import FacePlanner, HeadJobs
from refbench.fingerprint import code_fingerprint, digest
from refbench.job import Job
from refbench.labels import NOBODY_LEFT
from refbench.preparation import PlannedScan
from refbench.share import nested_order
from refbench.suite import Chosen, Suite


@dataclass(frozen=True)
class Cell:
    """One anonymizer against one attack.

    Attributes:
        scores: one job per metric. heads: of whole heads.
        memory: whether reconstructions are copies of training faces; None where nobody asks.
        support: reconstructions of validation people, where what is made of two releases is composed by them.
    """

    anonymizer: int
    attack: Attack
    train: Job
    reconstruct: Job
    scores: tuple[Job, ...]
    heads: HeadJobs
    memory: Job | None = None
    support: tuple[Job, ...] = ()

    @property
    def borrows(self) -> bool:
        """Whether its training is that of another cell."""
        return self.attack.learnt_on != self.anonymizer or self.attack.beside is not None

    def judged(self) -> list[Job]:
        """What is asked of its reconstructions, slice by slice."""
        return [*self.scores, *([self.memory] if self.memory else [])]


@dataclass(frozen=True)
class _Shown:
    """What the trainings of one anonymizer on some of the people have in common."""

    people: dict[str, list[list[str]]]
    needs: tuple[str, ...]
    where: dict[str, str]


@dataclass(frozen=True)
class CellBuilder:
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
        """Of a plug-in, as it goes into keys."""
        return self.identities[chosen.kind, chosen.label]

    @property
    def hidden(self) -> Chosen:
        """The anonymizer."""
        return self.suite.anonymizers[self.number]

    @cached_property
    def usable(self) -> tuple[PlannedScan, ...]:
        """Scans whose slices exist, as far as is known."""
        return tuple(item for item in self.planned if not lost(item.chain(self.number), self.failed))

    @cached_property
    def tested(self) -> tuple[PlannedScan, ...]:
        """Those of test people, in the order of every array of test images."""
        return tuple(item for item in self.usable if item.part == "test")

    @cached_property
    def test(self) -> list[str]:
        """Keys of their slices."""
        return [item.slices[self.number].key for item in self.tested]

    def cell(self, attack: Attack, builders: Sequence[CellBuilder]) -> Cell:
        """One attack on this anonymizer; `builders` are those of all anonymizers."""
        chosen, teacher = self.suite.attackers[attack.attacker], builders[attack.learnt_on]
        name = self._name(attack.label(self.suite), attack.seed)
        train = teacher.train(attack, name if teacher is self else teacher._name(chosen.label, attack.seed))
        support: tuple[Job, ...] = ()
        if attack.beside is None:
            reconstruct = self.reconstruct(attack, train, name, self.test)
        else:
            reconstruct, support = self.compose(attack, builders[attack.beside], name)
        heads = self.faces.nothing if attack.control else self.heads(reconstruct, name)
        memory = None if self._exempt(attack) else self.memory(attack, reconstruct, name)
        return Cell(self.number, attack, train, reconstruct, self.scores(reconstruct, name), heads, memory, support)

    def _name(self, attack: str, seed: int) -> str:
        """What the labels of a cell's jobs call it."""
        return f"{self.hidden.label} × {attack}" + (f" seed {seed}" if len(self.suite.file.seeds) > 1 else "")

    @property
    def selection(self) -> dict[str, Any]:
        """What decides on validation people, as it goes into keys."""
        return {"metric": self.identity(self.suite.judge), "region": self.suite.file.selection.region}

    def reconstruct(self, attack: Attack, train: Job, name: str, slices: Sequence[str]) -> Job:
        """What an attacker makes of slices."""
        return Job(
            "reconstruct",
            f"reconstruct {name}",
            {
                "attacker": self.identity(self.suite.attackers[attack.attacker]),
                "trained": train.key,
                "test": list(slices),
                "code": code_fingerprint("refbench.jobs.reconstruct"),
            },
            needs=(train.key, *slices),
            where={"dataset": self.places},
        )

    def compose(self, attack: Attack, other: CellBuilder, name: str) -> tuple[Job, tuple[Job, ...]]:
        """What the attacker makes of both releases, and the reconstructions of validation people that it takes."""
        first, second = self.attacked(attack), other.attacked(attack)
        slices = self.suite.file.slices.model_dump(mode="json")
        together = compose_job(name, self.planned, first, second, slices, self.selection)
        return together, tuple(one.validation for one in (first, second) if one.validation)

    def attacked(self, attack: Attack) -> Attacked:
        """What an informed attacker makes of this anonymizer's releases."""
        informed = replace(attack, learnt_on=self.number, beside=None, threat="informed")
        name = self._name(informed.label(self.suite), attack.seed)
        train = self.train(informed, name)
        validation = [item.slices[self.number].key for item in self.usable if item.part == "validation"]
        return Attacked(
            self.number,
            self.reconstruct(informed, train, name, self.test),
            self.reconstruct(informed, train, f"{name} of validation people", validation) if validation else None,
        )

    def heads(self, reconstruct: Job | None, name: str) -> HeadJobs:
        """What is asked of whole heads: of what was released, if nothing was reconstructed; nothing where nobody is."""
        if self.hidden.name == NOBODY_LEFT:
            return self.faces.nothing
        if reconstruct is None:
            return self.faces.of_release(self.number, self.tested, name)
        return self.faces.of_cell(self.number, self.tested, name, reconstruct)

    def _exempt(self, attack: Attack) -> bool:
        """From being asked for copies: controls, and baselines, some of which copy on purpose."""
        plugin = self.suite.attackers[attack.attacker].plugin
        assert isinstance(plugin, Attacker)
        control = attack.control or control_of(self.hidden)
        return bool(control) or plugin.floor or not self.suite.file.controls.memory

    def memory(self, attack: Attack, reconstruct: Job, name: str) -> Job:
        """Whether it brings back copies of training faces."""
        attacker = self.suite.attackers[attack.attacker].plugin
        assert isinstance(attacker, Attacker)
        # Their faces are the same whatever hid them, and lie where this anonymizer's test people's do.
        learnt_from = self.shown(attacker.share, attack.place).people["train"]
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
        """Teach an attacker what these releases hide."""
        chosen, options = self.suite.attackers[attack.attacker], self.suite.file.training
        attacker = chosen.plugin
        assert isinstance(attacker, Attacker)
        shown = self.shown(attacker.share, attack.place)
        identity = {
            "attacker": self.identity(chosen),
            "seed": attack.seed,
            "selection": self.selection,
            "deterministic": options.deterministic,
            "gpus": options.gpus if isinstance(attacker, NetworkAttacker) else 1,
            "wrong_pairs": attack.control == "shuffled",
            "code": code_fingerprint("refbench.jobs.train"),
            **shown.people,
        }
        return Job("train", f"train {name}", identity, shown.needs, {**shown.where, "dataset": self.places})

    def shown(self, share: float, place: str) -> _Shown:
        """What an attacker learns from that sees a share of the training people, of one place or of all."""
        if (share, place) not in self._shown:
            self._shown[share, place] = self._show(share, place)
        return self._shown[share, place]

    def _show(self, share: float, place: str) -> _Shown:
        there = [item for item in self.usable if place in ("", item.scan.site, item.scan.dataset)]
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
        """One job per metric; of what was released, if nothing was reconstructed."""
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


def lost(jobs: Iterable[Job | None], failed: frozenset[str]) -> bool:
    """Whether one of them has ended badly."""
    return any(job.key in failed for job in jobs if job)
