"""Which jobs of a plan a run is restricted to: `--only 'anonymizer=blur*'`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from refbench.errors import SuiteError
from refbench.job import Job
from refbench.plan import Plan
from refbench.registry import closest
from refbench.suite import Chosen

WHAT = ("anonymizer", "attacker", "subject", "kind")

Names = Mapping[str, tuple[str, ...]]
"""What a job is about, and by which names it can be called."""


@dataclass(frozen=True)
class Only:
    """Patterns of names, as of files: `*`, `?`. Of one thing one must fit, and each thing that is named must fit.

    A job that is not about a thing does not fit its patterns. Only the scores of what was released, without attack,
    fit every attacker: each stands beside them.

    Attributes:
        patterns: by what they name, see `WHAT`; empty for all jobs.
    """

    patterns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def parse(cls, texts: Sequence[str]) -> Only:
        """Read `what=pattern`, several times.

        Raises:
            SuiteError: it is not written so.
        """
        patterns: dict[str, tuple[str, ...]] = {}
        for text in texts:
            what, equals, pattern = text.partition("=")
            if not equals or not pattern:
                raise SuiteError(f"--only {text!r}: write what=pattern, for example 'anonymizer=blur*'")
            if what not in WHAT:
                raise SuiteError(f"--only {text!r}: unknown {what!r}{closest(what, WHAT)}")
            patterns[what] = (*patterns.get(what, ()), pattern)
        return cls(patterns)

    def check(self, plan: Plan) -> None:
        """Refuse patterns that fit nothing of a plan.

        Raises:
            SuiteError: there is nothing of that name.
        """
        known: dict[str, set[str]] = {what: set() for what in WHAT}
        for _, names in _named(plan):
            for what, own in names.items():
                known[what].update(own)
        for what, patterns in self.patterns.items():
            for pattern in patterns:
                if not _fits(known[what], [pattern]):
                    raise SuiteError(
                        f"--only {what}={pattern}: this suite has no such {what}{closest(pattern, known[what])}"
                    )

    def fitting(self, plan: Plan) -> frozenset[str]:
        """Keys of the jobs that fit."""
        return frozenset(
            job.key
            for job, names in _named(plan)
            if all(_fits(names.get(what, ()), patterns) for what, patterns in self.patterns.items())
        )

    def needed(self, plan: Plan) -> frozenset[str]:
        """Keys of the jobs that fit, and of all that they need."""
        jobs = {job.key: job for job in plan.jobs()}
        if not self.patterns:
            return frozenset(jobs)
        found, waiting = set[str](), list(self.fitting(plan))
        while waiting:
            key = waiting.pop()
            if key not in found:
                found.add(key)
                waiting += jobs[key].needs
        return frozenset(found)


ALL = Only()
"""Every job of a plan."""


def _named(plan: Plan) -> Iterator[tuple[Job, Names]]:
    hidden = [("anonymizer", _names(chosen)) for chosen in plan.suite.anonymizers]
    attackers = [("attacker", _names(chosen)) for chosen in plan.suite.attackers]
    every = ("attacker", tuple(name for _, names in attackers for name in names))
    for item in plan.scans:
        subject = ("subject", tuple(dict.fromkeys((item.scan.subject, item.scan.who))))
        for job in (*item.common(), *plan.faces.looks_of(item)):
            yield _about(job, subject)
        for jobs in (item.anonymized, item.checks, item.slices):
            for job, anonymizer in zip(jobs, hidden, strict=True):
                yield _about(job, subject, anonymizer)
    common = (plan.average, plan.faces.frame, *plan.faces.taught())
    yield from (_about(job) for job in common if job)
    for scores, heads, anonymizer in zip(plan.releases, plan.released_heads, hidden, strict=True):
        for job in (*scores, *heads.jobs()):
            yield _about(job, anonymizer, every)
    for cell in plan.cells:
        attack = "attacker", (*attackers[cell.attack.attacker][1], cell.attack.label(plan.suite))
        for job in (cell.train, *cell.support, cell.reconstruct, *cell.judged(), *cell.heads.jobs()):
            yield _about(job, hidden[cell.anonymizer], attack)


def _about(job: Job, *names: tuple[str, tuple[str, ...]]) -> tuple[Job, Names]:
    return job, {"kind": (job.kind,), **dict(names)}


def _names(chosen: Chosen) -> tuple[str, ...]:
    """A plug-in's name, and what tables call it."""
    return tuple(dict.fromkeys((chosen.name, chosen.label)))


def _fits(names: Sequence[str] | set[str], patterns: Sequence[str]) -> bool:
    return any(name == pattern or fnmatchcase(name, pattern) for name in names for pattern in patterns)
