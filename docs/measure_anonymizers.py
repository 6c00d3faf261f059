"""Puts the figures of a run of `suites/anonymizers.yaml`, or of another suite, into docs/anonymizers.md.

    refbench run suites/anonymizers.yaml
    python docs/measure_anonymizers.py people [RUN ...]

The first word names the table in the document. RUN is the latest run if not given; of several the later ones replace
the rows of anonymizers that they ran again. Nothing between the markers is ever typed.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

from refbench.results import find_runs, load_run
from refbench.store import default_store

DOCUMENT = Path(__file__).with_name("anonymizers.md")
PARTS = ("nose", "eyes", "mouth", "ears")


def main(name: str, *runs: str) -> None:
    """Read the subjects of the runs, write a row per anonymizer."""
    rows = {}
    for folder in find_runs(default_store().absolute(), runs):
        for label, own in load_run(folder).subjects.groupby("anonymizer", sort=False):
            rows[label] = _row(str(label), own)
    _insert(name, "\n".join(_markdown(list(rows.values()))))


def _row(label: str, own: pd.DataFrame) -> dict[str, str]:
    reasons = own["outcome"].value_counts()
    done = own[pd.to_numeric(own["changed_voxels"], errors="coerce").notna()]
    numbers = {name: pd.to_numeric(done[name], errors="coerce") for name in ("brain_changed", "seconds", "changed")}
    cut = numbers["brain_changed"] > 0
    left = {part: pd.to_numeric(done[f"{part}_left"], errors="coerce").mean() for part in PARTS}
    return {
        "anonymizer": f"`{label}`",
        "heads": str(len(own)),
        "outcome": ", ".join(f"{count} {reason}" for reason, count in reasons.items()),
        "brain cut": f"{int(cut.sum())} ({int(numbers['brain_changed'].sum())} voxels)" if len(done) else "–",
        **{f"{part} left": _share(left[part]) for part in PARTS},
        "changed": _share(numbers["changed"].mean()),
        "s per head": f"{numbers['seconds'].mean():.1f}" if len(done) else "–",
    }


def _share(value: float) -> str:
    return "–" if pd.isna(value) else f"{100 * value:.1f} %"


def _markdown(rows: list[dict[str, str]]) -> list[str]:
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    return [*lines, *("| " + " | ".join(row.values()) + " |" for row in rows)]


def _insert(name: str, table: str) -> None:
    begin, end = f"<!-- {name}: measure_anonymizers.py -->\n", f"<!-- end of {name} -->"
    before, rest = DOCUMENT.read_text().split(begin)
    DOCUMENT.write_text(f"{before}{begin}\n{table}\n\n{rest[rest.index(end) :]}")


if __name__ == "__main__":
    main(*sys.argv[1:])
