"""What is made of each scan before anybody trains: its jobs, and how they hang together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from refbench.anonymizers.base import Anonymizer
from refbench.anonymizers.brain import brain_versions
from refbench.anonymizers.registration import registration_versions
from refbench.datasets.base import Dataset, Scan
from refbench.fingerprint import code_fingerprint
from refbench.job import Job
from refbench.split_options import Part
from refbench.store import FileHashes
from refbench.suite import Chosen, Suite


@dataclass(frozen=True)
class PreparedScan:
    """One scan and what is found in its head, once for all anonymizers.

    Attributes:
        register, brain: None where neither an anonymizer nor a check needs them.
        face: the region where privacy is scored. skin: the facial skin that a release is checked against.
    """

    scan: Scan
    part: Part
    head: Job
    register: Job | None
    brain: Job | None
    face: Job
    skin: Job

    def common(self) -> list[Job]:
        """All of these jobs, in an order that can be run."""
        found = (self.head, self.register, self.brain, self.face, self.skin)
        return [job for job in found if job]


@dataclass(frozen=True)
class PlannedScan(PreparedScan):
    """A prepared scan and what each anonymizer makes of it; tuples are in the order of the suite's anonymizers."""

    anonymized: tuple[Job, ...]
    checks: tuple[Job, ...]
    slices: tuple[Job, ...]

    def releases(self) -> list[Job]:
        """The jobs of all anonymizers, in an order that can be run."""
        return [*self.anonymized, *self.checks, *self.slices]

    def chain(self, anonymizer: int) -> Iterator[Job]:
        """What the slices of one anonymizer hang on, themselves included."""
        own = {job.key: job for job in (*self.common(), *self.releases())}
        waiting, seen = [self.slices[anonymizer].key], set[str]()
        while waiting:
            key = waiting.pop()
            if key in own and key not in seen:
                seen.add(key)
                waiting += own[key].needs
        return (job for key, job in own.items() if key in seen)


@dataclass(frozen=True)
class ScanBuilder:
    """Makes the jobs of scans.

    Attributes:
        identities: of every plug-in of the suite by (kind, label), as they go into keys.
        hashes: contents of files.
    """

    suite: Suite
    identities: Mapping[tuple[str, str], dict[str, Any]]
    hashes: FileHashes

    @cached_property
    def _labels(self) -> dict[str, frozenset[str]]:
        """The labels that heads carry, by data set."""
        datasets = {name: chosen.plugin for name, chosen in self.suite.datasets.items()}
        return {name: one.label_names() for name, one in datasets.items() if isinstance(one, Dataset)}

    @cached_property
    def _needs(self) -> frozenset[str]:
        plugins = [chosen.plugin for chosen in self.suite.anonymizers]
        return frozenset[str]().union(*(plugin.needs() for plugin in plugins if isinstance(plugin, Anonymizer)))

    @cached_property
    def _registration_tools(self) -> dict[str, str]:
        return registration_versions()  # reads the metadata of distributions: once, not once per scan

    @cached_property
    def _brain_tools(self) -> dict[str, str]:
        return brain_versions()

    def prepare(self, scan: Scan, part: Part) -> PreparedScan:
        """The jobs that do not depend on an anonymizer."""
        who = scan.who
        # A dataset's parameters are not in the key: what decides the voxels is in the recipe and in the files.
        dataset, labels = self.suite.datasets[scan.dataset], self._labels[scan.dataset]
        identity = {
            name: value for name, value in self.identities["dataset", dataset.label].items() if name != "params"
        }
        files = [self.hashes.digest(path) for path in scan.files]
        problem = {"problem": scan.problem} if scan.problem else {}
        head = Job(
            "head",
            f"head {who}",
            {"dataset": identity, "recipe": dict(scan.recipe), "files": files, **problem},
            where={"files": [str(path) for path in scan.files], "params": dataset.params},
        )
        labelled = "face" in labels
        register = brain = None
        if not labelled or self._needs & {"registration", "average"}:
            register = job_of("register", who, {"head": head.key, "tools": self._registration_tools})
        if "brain" not in labels or "brain" in self._needs:
            brain = job_of("brain", who, {"head": head.key, "tools": self._brain_tools})
        found = None if labelled or register is None else register.key
        face = job_of("face", who, {"head": head.key, "registration": found})
        skin = job_of("skin", who, {"head": head.key, "registration": found})
        return PreparedScan(scan, part, head, register, brain, face, skin)

    def average(self, training: Sequence[PreparedScan]) -> Job | None:
        """The average head of the training subjects, if an anonymizer wants it."""
        if "average" not in self._needs:
            return None
        found = [item for item in training if item.register]
        identity = {
            "heads": [item.head.key for item in found],
            "registrations": [item.register.key for item in found if item.register],
        }
        return job_of("average", "of the training subjects", identity)

    def release(self, item: PreparedScan, average: Job | None) -> PlannedScan:
        """The jobs of every anonymizer."""
        anonymized = tuple(self._anonymize(chosen, item, average) for chosen in self.suite.anonymizers)
        options = self.suite.file.slices.model_dump(mode="json")
        checks, slices = [], []
        for chosen, job in zip(self.suite.anonymizers, anonymized, strict=True):
            name = f"{item.scan.who} {chosen.label}"
            # The dataset's own label is the truth; deepbet's estimate stands in where there is none.
            labelled = "brain" in self._labels[item.scan.dataset]
            estimate = item.brain.key if item.brain and not labelled else None
            inputs = {"head": item.head.key, "anonymized": job.key}
            checks.append(job_of("check", name, {**inputs, "skin": item.skin.key, "brain": estimate}))
            slices.append(job_of("slice", name, {**inputs, "face": item.face.key}, options=options))
        return PlannedScan(**vars(item), anonymized=anonymized, checks=tuple(checks), slices=tuple(slices))

    def _anonymize(self, chosen: Chosen, item: PreparedScan, average: Job | None) -> Job:
        assert isinstance(chosen.plugin, Anonymizer)
        there = {"registration": item.register, "brain": item.brain, "average": average}
        found: dict[str, str] = {need: job.key for need in sorted(chosen.plugin.needs()) if (job := there[need])}
        return job_of(
            "anonymize",
            f"{item.scan.who} {chosen.label}",
            {"head": item.head.key, **found},
            anonymizer=self.identities["anonymizer", chosen.label],
            seed=self.suite.file.seed,
        )


def job_of(kind: str, name: str, inputs: Mapping[str, Any], **identity: Any) -> Job:
    """A job of a module's kind whose identity names the keys of its inputs (one, several or None), tools aside."""
    needs: list[str] = []
    for what, keys in inputs.items():
        if what != "tools" and keys:
            needs += [keys] if isinstance(keys, str) else keys
    code = code_fingerprint(f"refbench.jobs.{kind}")
    return Job(kind, f"{kind} {name}", {**inputs, **identity, "code": code}, needs=tuple(needs))
