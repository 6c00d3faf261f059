"""The verdict of a comparison as an exit code and a sentence, for continuous integration."""

from __future__ import annotations

from dataclasses import dataclass

from refbench.baseline import Baseline
from refbench.compare import Comparison, Line, compare
from refbench.errors import SuiteError
from refbench.registry import closest
from refbench.suite import Suite

FINE, REGRESSED, WRONG, INCOMPLETE, NOTHING = 0, 1, 2, 3, 4
"""Exit codes: as good as the baseline or better; something is worse; the suite, its data or the baseline is wrong;
rows of the baseline have no figures now; no row can be compared."""


@dataclass(frozen=True)
class Gate:
    """What the gate says: its exit code, one sentence, and the rows that are to blame, the worst kind first."""

    code: int
    headline: str
    blamed: tuple[Line, ...]


def check_tolerances(suite: Suite) -> None:
    """Refuse tolerances of metrics that the suite does not measure.

    Raises:
        SuiteError: there are such; the message names the nearest metric.
    """
    known = {name for metric in suite.metrics for name in (metric.label, metric.name)}
    for name in suite.file.tolerances:
        if name not in known:
            raise SuiteError(f"{suite.path}: tolerances.{name}: this suite has no such metric{closest(name, known)}")


def judge(baseline: Baseline, now: Baseline, suite: Suite) -> tuple[Comparison, Gate]:
    """Compare a finished run of a suite with the baseline.

    What is worse is known to be so, and outweighs what is not known. A row that the baseline has and this run has not
    may hide anything: then the gate is not fine, whatever the other rows say.
    """
    comparison = compare(baseline, now, suite.file.tolerances)
    return comparison, gate(comparison)


def gate(comparison: Comparison) -> Gate:
    """The exit code and what to say of it."""
    lines = comparison.lines
    worse = tuple(line for line in lines if line.verdict == "worse")
    lost = tuple(line for line in lines if _lost(line))
    judged = comparison.count("same", "better", "worse")
    if comparison.obstacle:
        return Gate(NOTHING, f"Nothing can be compared with the baseline: {comparison.obstacle}.", ())
    if worse:
        return Gate(
            REGRESSED, f"Regressed: worse than the baseline in {len(worse)} of {len(lines)} rows.", worse + lost
        )
    if lost and (judged or comparison.count("newly failing")):
        return Gate(
            INCOMPLETE, f"Incomplete: {len(lost)} of {len(lines)} rows cannot be compared with the baseline.", lost
        )
    if not judged:
        return Gate(NOTHING, "Nothing can be compared with the baseline: they share no row.", lost)
    better = tuple(line for line in lines if line.verdict == "better")
    added = sum(not line.required for line in lines)
    news = (f", {len(better)} better" if better else "") + (f", {added} new" if added else "")
    advice = "; `--write` makes this the baseline" if news else ""
    return Gate(FINE, f"Fine: {comparison.count('same')} rows are the same{news}{advice}.", better)


def _lost(line: Line) -> bool:
    return line.verdict == "newly failing" or (line.verdict == "not comparable" and line.required)
