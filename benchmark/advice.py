"""What a run means for a data custodian, anonymizer by anonymizer, in plain words.

What was tried, what came back, what it cost, what was not tried, and on what data. Every figure is one of the
leaderboard's own; nothing is weighed, and where nothing can be said, that is said.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from refbench.attack_names import names_with_seeds
from refbench.data_facts import data_in_words
from refbench.enough import every_sweep
from refbench.face_columns import RANK1, figure_text, head_column, percent, rank1_text
from refbench.head_figures import headlines
from refbench.labels import plugin_name
from refbench.leaderboard import Leaderboard, read
from refbench.registry import Registry
from refbench.render import failed_text, recovery_of, shown
from refbench.results import Run
from refbench.verdicts import CONTROL, RECOVERY, RECOVERY_RANK1

THREATS = {
    "ignorant": "attackers that learnt from another anonymizer",
    "transfer": "attackers that learnt at another site or from another data set",
    "composition": "attackers that hold two releases of one person",
}
"""Beside informed attackers, see `refbench.attacks`."""


@dataclass(frozen=True)
class Section:
    """A question of a custodian, and sentences that answer it."""

    question: str
    answers: tuple[str, ...]


@dataclass(frozen=True)
class Page:
    """Advice on one anonymizer; `short` is all of it in one or two sentences."""

    anonymizer: str
    short: str
    sections: tuple[Section, ...]


def advice(run: Run, board: Leaderboard) -> list[Page]:
    """A page for every anonymizer that is no control, the best first.

    Args:
        run: whose tables.
        board: of that run alone, with a row for every attack (`View.attackers`).
    """
    adviser = _Adviser(run, board)
    rows = board.rows.drop_duplicates("anonymizer")
    return [adviser.page(str(row["anonymizer"])) for _, row in rows.iterrows() if row["unranked"] != CONTROL]


def to_markdown(pages: Sequence[Page]) -> str:
    """All pages below each other."""
    lines = []
    for page in pages:
        lines += [f"# {page.anonymizer}", "", page.short, ""]
        for section in page.sections:
            lines += [f"## {section.question}", "", *(f"* {answer}" for answer in section.answers), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


@dataclass(frozen=True)
class _Adviser:
    run: Run
    board: Leaderboard

    def page(self, anonymizer: str) -> Page:
        """Advice on one anonymizer."""
        rows = self.board.rows[self.board.rows["anonymizer"] == anonymizer]
        found = (
            Section("On what data?", tuple(self._data())),
            Section("What was tried?", tuple(self._tried(rows))),
            Section("What came back?", tuple(self._came_back(rows))),
            Section("What did it cost?", tuple(self._cost(rows))),
            Section("How much would be enough?", tuple(self._enough(anonymizer))),
            Section("Can these figures be believed?", tuple(self._trust(rows))),
            Section("What was not tried?", tuple(self._untried(rows))),
        )
        return Page(anonymizer, self._short(rows), tuple(section for section in found if section.answers))

    def _short(self, rows: pd.DataFrame) -> str:
        first, what = rows.iloc[0], data_in_words(self.run.info)
        if first["unranked"]:
            return f"Nothing can be said about how well it hides faces: {first['unranked']}."
        told = []
        if self.board.faces.recognized:
            worst = _most_recognised(rows)
            told.append(
                f"{_share(first, f'anonymized_{RANK1}')} of the people tested are recognised in what it releases, and "
                f"{_share(worst, f'reconstructed_{RANK1}')} after the attack that brings most back (chance "
                f"{self._chance()})."
            )
        told.append(f"The strongest attack tried {_went(first)}. Measured on {what}.")
        return " ".join(told)

    def _chance(self) -> str:
        gallery = self.run.identification["gallery"].nunique()
        return percent(1 / gallery) if gallery else "unknown"

    def _data(self) -> Iterator[str]:
        parts = self.run.info["split"]["people"]
        yield f"{data_in_words(self.run.info)}."
        yield (
            f"{parts['train']} of them taught the attackers, {parts['validation']} decided when to stop, and "
            f"{parts['test']} were attacked."
        )
        if not self.run.info.get("data", {}).get("real", True):
            yield "They are not real: figures show how the attacks work, not how well your own data would be hidden."
        yield "Nothing is known about other scanners, sequences, resolutions or ages."

    def _tried(self, rows: pd.DataFrame) -> Iterator[str]:
        names = names_with_seeds(self.board)
        for _, row in rows.iterrows():
            name = names[row["attacker"], row["seed"]]
            doubt = f" (not to be believed: {row['untrusted']})" if row["untrusted"] else ""
            recovered = recovery_of(row)
            yield f"{name}: " + (f"recovers {recovered}" if recovered != "–" else "recovery undefined") + doubt

    def _came_back(self, rows: pd.DataFrame) -> Iterator[str]:
        first, view = rows.iloc[0], self.board.view
        released, rebuilt = (
            shown(read(first, condition, view.by, view.region, "all")) for condition in ("anonymized", "reconstructed")
        )
        name = names_with_seeds(self.board)[first["attacker"], first["seed"]]
        yield (
            f"{view.by} with the original in the region {view.region}: {released} as released, {rebuilt} after the "
            f"strongest attack, {name}; the original itself has 1."
        )
        if math.isfinite(float(first.get(RECOVERY, math.nan))):
            yield (
                f"That is {recovery_of(first)} of the way from the floor ({first[f'{RECOVERY}_over']}: what anybody "
                "has without learning a face) to the original."
            )
        if self.board.faces.recognized:
            worst = _most_recognised(rows)
            yield (
                f"Recognised first among {self.run.identification['gallery'].nunique()} faces: "
                f"{rank1_text(first, 'anonymized')} as released, {rank1_text(worst, 'reconstructed')} "
                f"after {names_with_seeds(self.board)[worst['attacker'], worst['seed']]}; chance {self._chance()}."
            )
            if (recovered := recovery_of(worst, RECOVERY_RANK1)) != "–":
                yield f"Of the people whom it hid, {recovered} are recognisable again."

    def _cost(self, rows: pd.DataFrame) -> Iterator[str]:
        first = rows.iloc[0]
        yield (
            f"It did not work on {failed_text(first)} of the scans."
            if first["failed"]
            else (f"It worked on all {first['scans']} scans.")
        )
        for metric, figure in headlines(self.board.faces.figures):
            value = float(first[head_column("anonymized", metric, figure)])
            if math.isfinite(value):
                yield f"{figure.replace('_', ' ')} ({metric}): {figure_text(value)} as released."
        if not self.board.faces.figures:
            yield "What it does to the brain, and to what is measured in it, was not looked at: name `head_metrics`."

    def _enough(self, anonymizer: str) -> Iterator[str]:
        verdicts = self.board.verdicts
        for sweep, said in every_sweep(verdicts.scores, self.run.cells, verdicts.trust.trusts):
            if anonymizer in {label for _, label in sweep.members}:
                yield f"{said} That is about attacks: a release that shows the face by itself needs none."

    def _trust(self, rows: pd.DataFrame) -> Iterator[str]:
        trust = self.board.verdicts.trust
        if not trust.checks:
            yield "There were no controls: nobody can tell a face that is well hidden from a weak attack."
            return
        failed = sorted({check.learner for check in trust.checks if check.failed})
        if failed:
            yield f"Controls failed for {', '.join(failed)}, which therefore do not count."
        believed = sum(not why for why in rows["untrusted"])
        yield f"{believed} of {len(rows)} attacks count: their controls passed."
        yield from self.run.info.get("notes", ())

    def _untried(self, rows: pd.DataFrame) -> Iterator[str]:
        tried = {plugin_name(label) for label in rows["attacker"]}
        known = [entry.name for entry in Registry.discover().of_kind("attacker")]
        missing = sorted(name for name in known if name not in tried)
        if missing:
            yield f"Attackers that come with refbench and were not tried: {', '.join(missing)}."
        cells = self.run.cells
        met = set(cells[cells["anonymizer"] == rows["anonymizer"].iloc[0]].get("threat", pd.Series(dtype=str)))
        yield from (f"No {what}." for threat, what in THREATS.items() if threat not in met)
        if not self.board.faces.recognized:
            yield "Nobody was looked for: whether people can be recognised is not known (name `recognizers`)."
        if rows["seed"].nunique() < 2:
            yield "One training of each attacker only: another seed may be stronger."
        yield "An attacker with more data, time or another idea may do better; none of these figures is an upper bound."


def _most_recognised(rows: pd.DataFrame) -> pd.Series[Any]:
    """The attack after which most people are recognised."""
    return rows.iloc[int(rows[f"reconstructed_{RANK1}"].fillna(-1).to_numpy().argmax())]


def _went(row: pd.Series[Any]) -> str:
    value = float(row.get(RECOVERY, math.nan))
    if not math.isfinite(value):
        return "cannot be measured against the original, since nothing defined was hidden"
    if float(row[f"{RECOVERY}_high"]) <= 0:
        return f"gains nothing over the floor, {row[f'{RECOVERY}_over']}"
    return f"goes {recovery_of(row)} of the way from the floor, {row[f'{RECOVERY}_over']}, back to the original face"


def _share(row: pd.Series[Any], column: str) -> str:
    value = float(row[column])
    return percent(value) if math.isfinite(value) else "an unknown share"
