"""Two runs, row by row: the same, better, worse, not comparable or newly failing, by how much and why.

All metrics grow with likeness. So of what was released, and of the strongest attack on it, a higher score means that
the anonymizer hides less: worse. An attack is a row of its own: where its score moves with that of the release it only
follows the anonymizer; where it falls alone, the attack got weaker, and that is worse, too: it would flatter every
anonymizer that it is used against.

The strongest attack is the highest score, of each metric and site for itself. A maximum moves no more than what it is
taken of, so two attacks of nearly equal strength cannot make a run differ from itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from refbench.baseline import EVERYBODY, Baseline, Row
from refbench.comparable import differing
from refbench.labels import plugin_name
from refbench.results import NO_ATTACK

Verdict = Literal["same", "better", "worse", "not comparable", "newly failing"]

TOLERANCE = 0.01
"""Where a suite names none: scores are of 0-1, and tables print three digits."""

ROUNDING = 1.5e-6
"""Added to every tolerance: two means of six decimals may be so much apart and equal."""

STRONGEST = "strongest attack"
RELEASED = "released"


@dataclass(frozen=True)
class Change:
    """One mean in both runs. `attackers`: whose it is, before and now; empty for a release."""

    metric: str
    site: str
    before: float
    now: float
    tolerance: float
    attackers: tuple[str, str] = ("", "")

    @property
    def moved(self) -> int:
        """1: up by more than the tolerance, -1: down, 0: neither."""
        step = self.now - self.before
        return 0 if abs(step) <= self.tolerance + ROUNDING else (1 if step > 0 else -1)

    def __str__(self) -> str:
        who = "" if self.site == EVERYBODY else f" at {self.site}"
        by = "" if not any(self.attackers) else f" ({' → '.join(dict.fromkeys(self.attackers))})"
        step = f"{self.now - self.before:+.4f}, tolerance {self.tolerance:g}"
        return f"{self.metric}{who}{by} {self.before:.3f} → {self.now:.3f} ({step})"


@dataclass(frozen=True)
class Line:
    """The verdict on one row.

    Attributes:
        attack: `strongest attack`, `released`, or the attacker. changes: every metric and site that both runs have.
        required: the earlier run has this row.
    """

    anonymizer: str
    attack: str
    verdict: Verdict
    reason: str
    changes: tuple[Change, ...] = ()
    required: bool = True


@dataclass(frozen=True)
class Comparison:
    """All verdicts. `obstacle`: why no row can be compared. `versions`: what else differs between the runs."""

    before: str
    now: str
    region: str
    lines: tuple[Line, ...]
    obstacle: str
    versions: tuple[str, ...]

    def count(self, *verdicts: Verdict) -> int:
        """How many rows have one of these verdicts."""
        return sum(line.verdict in verdicts for line in self.lines)


def tolerance_of(metric: str, tolerances: Mapping[str, float]) -> float:
    """The tolerance given for a metric by its label, else by its name, else the usual one."""
    return tolerances.get(metric, tolerances.get(plugin_name(metric), TOLERANCE))


def compare(before: Baseline, now: Baseline, tolerances: Mapping[str, float]) -> Comparison:
    """Judge every anonymizer by its strongest attack and by what it releases, then attack by attack."""
    obstacle = differing(_setting(before), _setting(now), ("before", "now"))
    old, new = _by_anonymizer(before.rows), _by_anonymizer(now.rows)
    lines: list[Line] = []
    for anonymizer in dict.fromkeys([*old, *new]):
        if obstacle:
            lines.append(Line(anonymizer, STRONGEST, "not comparable", obstacle, required=anonymizer in old))
        elif anonymizer not in new or anonymizer not in old:
            where = "not in the later run" if anonymizer in old else "not in the earlier run"
            lines.append(Line(anonymizer, STRONGEST, "not comparable", where, required=anonymizer in old))
        else:
            failed = [run.failed.get(anonymizer, (0, 0)) for run in (before, now)]
            lines += _anonymizer(anonymizer, old[anonymizer], new[anonymizer], failed, tolerances)
    return Comparison(before.run, now.run, now.region, tuple(lines), obstacle, _versions(before, now))


def _setting(run: Baseline) -> dict[str, object]:
    return {"dataset": run.dataset, "slices": run.slices, "split": run.split, "region": run.region}


Rows = dict[tuple[str, int], Row]
"""Attacker and seed to the row of an anonymizer."""


def _by_anonymizer(rows: Iterable[Row]) -> dict[str, Rows]:
    found: dict[str, Rows] = {}
    for row in rows:
        found.setdefault(row.anonymizer, {})[row.attacker, row.seed] = row
    return found


def _versions(before: Baseline, now: Baseline) -> tuple[str, ...]:
    names = [name for name in before.versions if name in now.versions]
    pairs = [(name, before.versions[name], now.versions[name]) for name in names]
    return tuple(f"{name} {one} → {other}" for name, one, other in pairs if one != other)


def _anonymizer(
    anonymizer: str, old: Rows, new: Rows, failed: list[tuple[int, int]], tolerances: Mapping[str, float]
) -> list[Line]:
    key = (NO_ATTACK, 0)
    released = _line(anonymizer, RELEASED, old[key], new[key], tolerances, {})
    release = {(change.metric, change.site): change.moved for change in released.changes}
    several = len({seed for attacker, seed in (*old, *new) if attacker != NO_ATTACK}) > 1
    attacks = []
    for attacker, seed in dict.fromkeys([*old, *new]):
        if (attacker, seed) == key:
            continue
        name = attacker + (f" seed {seed}" if several else "")
        one, other = old.get((attacker, seed)), new.get((attacker, seed))
        if one is None or other is None:
            where = "not in the later run" if other is None else "not in the earlier run"
            attacks.append(Line(anonymizer, name, "not comparable", where, required=one is not None))
        else:
            attacks.append(_line(anonymizer, name, one, other, tolerances, release))
    strongest = _strongest(anonymizer, attacks)
    (bad, _), (worse, scans) = failed
    if worse > bad:
        reason = f"does not work on {worse} of {scans} scans, before on {bad}"
        if strongest.verdict == "worse":
            reason = f"{reason}; {strongest.reason}"
        strongest = Line(anonymizer, STRONGEST, "worse", reason, strongest.changes)
    return [strongest, released, *attacks]


def _strongest(anonymizer: str, attacks: list[Line]) -> Line:
    """The highest score, of each metric and site, among the attacks that both runs have."""
    failing = [line.attack for line in attacks if line.verdict == "newly failing"]
    if failing:
        return Line(anonymizer, STRONGEST, "newly failing", f"no figure now: {', '.join(failing)}")
    both = [line for line in attacks if line.changes]
    if not both:
        return Line(anonymizer, STRONGEST, "not comparable", "no attack has figures in both runs")
    changes = []
    for place in dict.fromkeys((change.metric, change.site) for line in both for change in line.changes):
        own = [(line.attack, c) for line in both for c in line.changes if (c.metric, c.site) == place]
        one, first = max(own, key=lambda item: item[1].before)
        other, second = max(own, key=lambda item: item[1].now)
        changes.append(Change(*place, first.before, second.now, first.tolerance, (one, other)))
    return _judged(anonymizer, STRONGEST, changes, {(c.metric, c.site): c.moved for c in changes})


def _line(
    anonymizer: str,
    attack: str,
    old: Row,
    new: Row,
    tolerances: Mapping[str, float],
    release: Mapping[tuple[str, str], int],
) -> Line:
    if old.status != "ok":
        verdict: Verdict = "not comparable" if new.status != "ok" else "better"
        return Line(anonymizer, attack, verdict, f"{old.status} before, {new.status} now")
    if new.status != "ok":
        return Line(anonymizer, attack, "newly failing", f"ok before, {new.status} now")
    changes = []
    for metric, sites in old.scores.items():
        for site, before in sites.items():
            where = metric if site == EVERYBODY else f"{metric} at {site}"
            if site not in new.scores.get(metric, {}):
                return Line(anonymizer, attack, "not comparable", f"{where} is not measured now")
            now = new.scores[metric][site]
            if before is not None and now is not None:
                changes.append(Change(metric, site, before, now, tolerance_of(metric, tolerances)))
            elif before is not None:
                return Line(anonymizer, attack, "newly failing", f"{where} {before:.3f} before, undefined now")
            elif now is not None:
                return Line(anonymizer, attack, "not comparable", f"{where} undefined before, {now:.3f} now")
    return _judged(anonymizer, attack, changes, release)


def _judged(anonymizer: str, attack: str, changes: list[Change], release: Mapping[tuple[str, str], int]) -> Line:
    """Worse where any figure is; the largest such change is the reason."""
    own = attack in (STRONGEST, RELEASED)
    said: list[tuple[Verdict, str, Change]] = []
    for change in changes:
        if change.moved == 0:
            continue
        if own or change.moved == release.get((change.metric, change.site), 0):
            said.append(("worse", "hides less", change) if change.moved > 0 else ("better", "hides more", change))
        else:
            said.append(
                ("worse", "the attack is weaker", change)
                if change.moved < 0
                else ("better", "the attack is stronger", change)
            )
    if not said:
        return Line(anonymizer, attack, "same", "" if changes else "undefined in both", tuple(changes))
    verdict: Verdict = "worse" if any(item[0] == "worse" for item in said) else "better"
    alike = [item for item in said if item[0] == verdict]
    _, words, change = max(alike, key=lambda item: abs(item[2].now - item[2].before))
    more = f", and {len(alike) - 1} more" if len(alike) > 1 else ""
    return Line(anonymizer, attack, verdict, f"{words}: {change}{more}", tuple(changes))
