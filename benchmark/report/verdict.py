"""What a run says, in plain sentences: who hides best, which attacks bring nothing, and what is not to be trusted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from refbench.attack_names import attack_names
from refbench.differences import Differences
from refbench.enough import every_sweep
from refbench.labels import plugin_name
from refbench.leaderboard import Leaderboard, read
from refbench.plots.series import BASELINE
from refbench.render import interval_text, shown
from refbench.render_controls import untrusted_captions
from refbench.render_differences import too_few
from refbench.report.recognition import recognition_sentences
from refbench.verdicts import CONTROL

MOST_MISSING = 3
"""Attacks that are named of each incomplete anonymizer."""


@dataclass(frozen=True)
class Sentence:
    """One thing the run says; `kind` decides how it is marked."""

    kind: Literal["finding", "doubt"]
    text: str


def verdict(board: Leaderboard, differences: Differences, cells: pd.DataFrame) -> list[Sentence]:
    """Sentences, the main one first.

    Args:
        board: with a row for every attack.
        differences: of the same run and view.
        cells: of the same run.
    """
    strongest = board.rows.drop_duplicates("anonymizer")
    ranked = strongest[strongest["rank"].notna()]
    findings = [*_winner(board, ranked), *recognition_sentences(board), *_apart(differences)]
    findings += [*_strong_attacks(board, ranked), *_idle(differences), *_enough(board, cells)]
    doubts = [*_incomplete(strongest), *_unranked(strongest), *_failures(strongest), *untrusted_captions(board)]
    return [Sentence("finding", text) for text in findings] + [Sentence("doubt", text) for text in doubts]


def _enough(board: Leaderboard, cells: pd.DataFrame) -> list[str]:
    """Of every swept parameter how much of it keeps attacks at the floor."""
    found = every_sweep(board.verdicts.scores, cells, board.verdicts.trust.trusts)
    return [f"How much is enough? {said[0].upper()}{said[1:]}" for _, said in found]


def _winner(board: Leaderboard, ranked: pd.DataFrame) -> list[str]:
    if ranked.empty:
        return ["No anonymizer has a rank."]
    view, names = board.view, attack_names(board)
    first = ranked[ranked["rank"] == ranked["rank"].iloc[0]]
    best = first.iloc[0]
    before = read(best, "anonymized", view.by, view.region, "all")
    after, low, high = (
        read(best, "reconstructed", view.by, view.region, what) for what in ("all", "all_low", "all_high")
    )
    who = " and ".join(first["anonymizer"])
    verb = "hides" if len(first) == 1 else "hide"
    lines = [f"{who} {verb} best of {len(ranked)} ranked anonymizers, by {view.by} in {view.region}."]
    if after > before:
        lines.append(
            f"The strongest attack on {best['anonymizer']}, {names[best['attacker']]}, raises its {view.by} with the "
            f"original from {shown(before)} as released to {shown(after)} {interval_text(low, high)}."
        )
    else:
        lines.append(f"No attack on {best['anonymizer']} beats what was released: {view.by} {shown(before)}.")
    return lines


def _apart(differences: Differences) -> list[str]:
    pairs = differences.anonymizers
    told = sum(pair.apart for pair in pairs)
    if not pairs:
        return []
    if not told and (few := [line for line in too_few(differences) if "tell anonymizers" in line]):
        return few
    if len(pairs) == 1:
        return [f"The two anonymizers are {'told' if told else 'not told'} apart by a test person by person."]
    how = "All" if told == len(pairs) else f"{told} of the" if told else "None of the"
    return [
        f"{how} {len(pairs)} pairs of anonymizers are told apart by tests person by person, adjusted for their number."
    ]


def _strong_attacks(board: Leaderboard, ranked: pd.DataFrame) -> list[str]:
    if len(ranked) < 2:
        return []
    names = attack_names(board)
    counts = Counter(names[label] for label in ranked["attacker"])
    idle = counts.pop(names.get(BASELINE, ""), 0)
    told = [f"{name} on {count}" for name, count in counts.most_common()]
    told += [f"on {idle} no attack beats the release"] if idle else []
    return [f"Strongest attacks on {len(ranked)} anonymizers: {', '.join(told)}."]


def _idle(differences: Differences) -> list[str]:
    """Attackers that bring nothing, on any anonymizer."""
    names = attack_names(differences.board)
    gained: dict[str, bool] = {}
    for one in differences.attacks:
        untouched = plugin_name(one.more.attacker) == BASELINE
        gains = one.overall.value > 0 or untouched or pd.isna(one.overall.value)
        gained[one.more.attacker] = gained.get(one.more.attacker, False) or bool(gains)
    idle = [names[attacker] for attacker, gains in gained.items() if not gains]
    return [f"Never better than no attack: {', '.join(idle)}."] if idle else []


def _unranked(strongest: pd.DataFrame) -> list[str]:
    """Anonymizers without a rank, and why; controls never have one."""
    rows = strongest[(strongest["missing"] == "") & ~strongest["unranked"].isin(["", CONTROL])]
    return [f"{row['anonymizer']} has no rank: {row['unranked']}." for _, row in rows.iterrows()]


def _incomplete(strongest: pd.DataFrame) -> list[str]:
    rows = strongest[strongest["missing"] != ""]
    told = [f"{row['anonymizer']} ({_shortened(row['missing'])})" for _, row in rows.iterrows()]
    return [f"Incomplete, so without a rank: {', '.join(told)}. A missing attack would flatter them."] if told else []


def _shortened(missing: str) -> str:
    """The first of what is missing, each attack once; the table of cells has all."""
    attacks = list(dict.fromkeys(missing.split("; ")))
    more = len(attacks) - MOST_MISSING
    return "; ".join(attacks[:MOST_MISSING]) + (f"; and {more} more" if more > 0 else "")


def _failures(strongest: pd.DataFrame) -> list[str]:
    rows = strongest[(strongest["failed"] > 0) & (strongest["unranked"] != CONTROL)]
    told = [
        f"{row['anonymizer']} {row['failed']} of {row['scans']} scans ({row['reasons']})" for _, row in rows.iterrows()
    ]
    return [f"Failed: {', '.join(told)}. These scans are counted in all figures."] if told else []
