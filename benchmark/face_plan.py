"""The jobs about whole heads: whose face is it, and what did hiding it cost?

Test people are looked for in a gallery of their own originals. Who came more than once stands in the gallery by one
visit and is looked for by the others; of who came once, the very scan is tilted, turned, shifted and made noisier.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from refbench.fingerprint import code_fingerprint
from refbench.job import Job
from refbench.preparation import PlannedScan, PreparedScan, job_of
from refbench.suite import Chosen, Suite


@dataclass(frozen=True)
class HeadJobs:
    """What is asked of the heads of one condition: of one release, or of one cell.

    Attributes:
        look: finds the probes' faces; None where no recognizer is asked.
        identify: one job per recognizer of the suite. measures: one per head metric.
        probes: whose faces are looked for, and whose heads are measured, in order.
    """

    look: Job | None
    identify: tuple[Job, ...]
    measures: tuple[Job, ...]
    probes: tuple[PlannedScan, ...]

    def shards(self) -> list[list[Job]]:
        """Independent of each other; the jobs of one in the order in which they can be run."""
        faces = [[self.look, *self.identify]] if self.look else []
        return [*faces, *([job] for job in self.measures)]

    def jobs(self) -> list[Job]:
        """All of them, inputs before what needs them."""
        return [job for shard in self.shards() for job in shard]


@dataclass(frozen=True)
class FacePlanner:
    """Makes these jobs.

    Attributes:
        identities: of every plug-in of the suite by (kind, label), as they go into keys.
        scans: all who take part. failed: keys of jobs that ended badly.
    """

    suite: Suite
    identities: Mapping[tuple[str, str], dict[str, Any]]
    scans: Sequence[PlannedScan]
    failed: frozenset[str]

    @property
    def nothing(self) -> HeadJobs:
        """Of heads that nobody asks about."""
        return HeadJobs(None, (), (), ())

    @cached_property
    def frame(self) -> Job | None:
        """The mean face of the training people, before which all faces are placed."""
        if not self.suite.recognizers:
            return None
        return job_of("frame", "of the training subjects", {"heads": [item.head.key for item in self._usable("train")]})

    @cached_property
    def looks(self) -> dict[str, Job]:
        """By the key of a head, of every original of training and test people: its face as it lies, and moved."""
        if self.frame is None:
            return {}
        return {
            item.head.key: self._look(
                f"original {item.scan.who}", [_view(item, moved=moved) for moved in (False, True)], {}
            )
            for part in ("train", "test")
            for item in self._usable(part)
        }

    def looks_of(self, item: PreparedScan) -> list[Job]:
        """The look at one original, if it is looked at."""
        return [self.looks[item.head.key]] if item.head.key in self.looks else []

    @cached_property
    def recognizers(self) -> tuple[Job, ...]:
        """One for each recognizer of the suite: taught on training people."""
        people = self._looks_of_people("train")
        return tuple(
            job_of(
                "recognize",
                chosen.label,
                {"train": [key for own in people.values() for key in own]},
                people=[number for number, own in enumerate(people.values()) for _ in own],
                recognizer=self._identity(chosen),
                seed=self.suite.file.seed,
            )
            for chosen in self.suite.recognizers
        )

    @cached_property
    def twins(self) -> Job | None:
        """Whether a test person is there under another name too, by face: asked of a recognizer that learns nothing."""
        people = {part: list(self._looks_of_people(part).values()) for part in ("train", "test")}
        if not (self.frame and all(people.values())):
            return None
        asked = next((one for one in self.suite.recognizers if one.name == "surface"), self.suite.recognizers[0])
        code = code_fingerprint("refbench.jobs.twins")
        identity = {"recognizer": self._identity(asked), "seed": self.suite.file.seed, **people, "code": code}
        needs = tuple(key for part in people.values() for own in part for key in own)
        return Job("twins", "twins by face", identity, needs=needs)

    def taught(self) -> list[Job]:
        """Jobs that learn from, or look at, originals only."""
        return [*self.recognizers, *([self.twins] if self.twins else [])]

    def subjects(self, part: str) -> list[str]:
        """In the order of `twins`."""
        return list(self._looks_of_people(part))

    @cached_property
    def gallery(self) -> tuple[PlannedScan, ...]:
        """One original of every test person whose face was looked for without trouble."""
        first: dict[str, PlannedScan] = {}
        for item in self._usable("test"):
            if any(look.key not in self.failed for look in self.looks_of(item)):
                first.setdefault(item.scan.subject, item)
        return tuple(first.values())

    @cached_property
    def _again(self) -> frozenset[str]:
        """Who has a visit beside that of the gallery."""
        shown = {item.head.key for item in self.gallery}
        return frozenset(item.scan.subject for item in self._usable("test") if item.head.key not in shown)

    def moved(self, item: PreparedScan) -> bool:
        """Whether a test person's probe is the very scan of the gallery."""
        return item.scan.subject not in self._again

    def of_release(self, number: int, tested: Sequence[PlannedScan], name: str) -> HeadJobs:
        """What was released by the anonymizer of that number."""
        return self._jobs(number, tested, name, {})

    def of_cell(self, number: int, tested: Sequence[PlannedScan], name: str, reconstruct: Job) -> HeadJobs:
        """What an attacker made of it: slices, which are stacked into heads."""
        made = {"reconstructed": reconstruct.key, "tested": [item.slices[number].key for item in tested]}
        return self._jobs(number, tested, name, made)

    def _jobs(self, number: int, tested: Sequence[PlannedScan], name: str, made: Mapping[str, Any]) -> HeadJobs:
        look: Job | None = None
        identify: tuple[Job, ...] = ()
        shown = {item.head.key for item in self.gallery}
        probes = tuple(item for item in tested if self.moved(item) or item.head.key not in shown)
        if self.frame and self.gallery:
            look = self._look(name, [_view(item, number, moved=self.moved(item)) for item in probes], made)
            identify = tuple(
                self._identify(chosen, trained, look, name)
                for chosen, trained in zip(self.suite.recognizers, self.recognizers, strict=True)
            )
        measures = tuple(self._measure(chosen, number, probes, name, made) for chosen in self.suite.head_metrics)
        return HeadJobs(look, identify, measures, probes)

    def _look(self, name: str, views: Sequence[Mapping[str, Any]], made: Mapping[str, Any]) -> Job:
        assert self.frame
        options = {"moves": self.suite.file.probes.model_dump(mode="json"), "seed": self.suite.file.seed}
        return self._of_heads("look", name, views, made, frame=self.frame.key, **options)

    def _identify(self, chosen: Chosen, trained: Job, look: Job, name: str) -> Job:
        inputs = {
            "trained": trained.key,
            "probes": look.key,
            "gallery": [self.looks[item.head.key].key for item in self.gallery],
        }
        return job_of("identify", f"{name} by {chosen.label}", inputs, recognizer=self._identity(chosen))

    def _measure(
        self, chosen: Chosen, number: int, probes: Sequence[PlannedScan], name: str, made: Mapping[str, Any]
    ) -> Job:
        views = []
        for item in probes:
            found = {"skin": item.skin, "brain": item.brain, "registration": item.register}
            views.append({**_view(item, number), **{what: job.key for what, job in found.items() if job}})
        return self._of_heads("measure", f"{chosen.label} {name}", views, made, metric=self._identity(chosen))

    def _of_heads(
        self, kind: str, name: str, views: Sequence[Mapping[str, Any]], made: Mapping[str, Any], **identity: Any
    ) -> Job:
        """A job that is given heads, as `refbench.jobs.candidates` finds them."""
        if made:
            identity["slices"] = self.suite.file.slices.model_dump(mode="json")
        needs = [view[what] for view in views for what in INPUTS if what in view]
        needs += [identity["frame"]] if "frame" in identity else []
        needs += [made["reconstructed"], *made["tested"]] if made else []
        code = code_fingerprint(f"refbench.jobs.{kind}")
        return Job(
            kind,
            f"{kind} {name}",
            {"views": list(views), **made, **identity, "code": code},
            needs=tuple(dict.fromkeys(needs)),
        )

    def _looks_of_people(self, part: str) -> dict[str, list[str]]:
        """Keys of the looks at everybody's originals, by subject."""
        people: dict[str, list[str]] = {}
        for item in self._usable(part):
            for look in self.looks_of(item):
                if look.key not in self.failed:
                    people.setdefault(item.scan.subject, []).append(look.key)
        return people

    def _usable(self, part: str) -> Iterator[PlannedScan]:
        return (item for item in self.scans if item.part == part and item.head.key not in self.failed)

    def _identity(self, chosen: Chosen) -> dict[str, Any]:
        return self.identities[chosen.kind, chosen.label]


INPUTS = ("head", "released", "skin", "brain", "registration")
"""What of a view is the key of a job."""


def _view(item: PlannedScan, anonymizer: int | None = None, *, moved: bool = False) -> dict[str, Any]:
    """One head as a job is shown it: an original, or what an anonymizer released of it."""
    view: dict[str, Any] = {"head": item.head.key, "moved": moved}
    if anonymizer is None:
        return view
    return {**view, "released": item.anonymized[anonymizer].key, "slice": item.slices[anonymizer].key}
