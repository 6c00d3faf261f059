"""The controls of a leaderboard, attacker by attacker: what each of them came to, and whether it passed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table

from refbench.attack_names import attack_names
from refbench.memory import COPIED_SHARE
from refbench.statistics import Estimate
from refbench.trust import Checked, Trust

if TYPE_CHECKING:
    from refbench.leaderboard import Leaderboard

CONTROLS = {
    "identity": "identity\nlost",
    "constant": "constant\nrecovered",
    "shuffled": "wrong pairs\nrecovered",
    "crossed": "learnt on originals\nrecovered at most",
    "memory": "copies\nat most",
}
"""Each control, and the head of its column."""
CONTROL_HEADS = tuple(" ".join(head.split()) for head in CONTROLS.values())
"""The same where a head has one line."""


def controls_table(board: Leaderboard) -> Table | None:
    """As a table for the terminal; None where there are no controls."""
    if not board.verdicts.trust.checks:
        return None
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold", show_edge=False)
    table.add_column("\ncontrols of", no_wrap=True)
    for head in CONTROLS.values():
        table.add_column(head, justify="right", no_wrap=True)
    for line in lines(board):
        table.add_row(*line)
    return table


def lines(board: Leaderboard) -> list[list[str]]:
    """Every attacker and what each control came to, in the order of `CONTROLS`."""
    checks, names = board.verdicts.trust.checks, attack_names(board)
    learners = dict.fromkeys(check.learner for check in checks)
    return [[names[learner], *(_cell(checks, learner, control) for control in CONTROLS)] for learner in learners]


def control_captions(board: Leaderboard) -> list[str]:
    """What the controls say in words."""
    trust = board.verdicts.trust
    if not trust.checks:
        return []
    about = "Controls: what an attacker loses where nothing was hidden, and recovers where it cannot know the face."
    passed = "" if any(check.failed for check in trust.checks) else " All passed."
    doubtful = any("?" in cell for line in lines(board) for cell in line[1:])
    few = ["?: so few training people that copies cannot be told from chance."] if doubtful else []
    return [about + passed, *few, *untrusted_captions(board)]


def untrusted_captions(board: Leaderboard) -> list[str]:
    """Attacks that must not be believed, and why."""
    reasons: dict[str, dict[str, None]] = {}
    for (_, attacker, _), why in board.verdicts.trust.untrusted.items():
        if attacker in board.tried:
            reasons.setdefault(attacker, {}).update(dict.fromkeys(why))
    names = attack_names(board)
    return [f"Untrusted, and never ranked: {names[who]}: {'; '.join(why)}." for who, why in reasons.items()]


def controls_json(trust: Trust) -> list[dict[str, Any]]:
    """Every control with its figures; undefined ones are null."""
    return [
        {
            "control": check.control,
            "attacker": check.learner,
            "anonymizer": check.anonymizer,
            **{name: _null(value) for name, value in check.value.columns("value").items()},
            "ended": check.ended,
            "failed": check.failed,
        }
        for check in trust.checks
    ]


def recovery_text(value: float, low: float, high: float) -> str:
    """A recovery as printed everywhere: `58 % [56, 60]`."""
    if not math.isfinite(value):
        return "–"
    if value < -1:
        return "< -100 %"
    inside = f" [{_percent(low)}, {_percent(high)}]" if math.isfinite(low) else ""
    return f"{_percent(value)} %{inside}"


def _cell(checks: Sequence[Checked], learner: str, control: str) -> str:
    own = [check for check in checks if check.learner == learner and check.control == control]
    known = [check for check in own if math.isfinite(check.value.value)]
    if not known:
        return next((check.ended for check in own if check.ended != "ok"), "–")
    worst = max(known, key=lambda check: (bool(check.failed), check.value.value))
    figure = f"{worst.value.value:.3f}" if control == "identity" else _plain(worst.value)
    doubtful = control == "memory" and worst.value.value > COPIED_SHARE
    return f"{figure} {'✗' if any(check.failed for check in own) else '?' if doubtful else '✓'}"


def _plain(value: Estimate) -> str:
    return recovery_text(value.value, math.nan, math.nan)


def _percent(share: float) -> str:
    """Without a sign where nothing is left of it."""
    return f"{100 * share:.0f}".replace("-0", "0") if abs(share) < 0.005 else f"{100 * share:.0f}"


def _null(value: float) -> float | None:
    return value if math.isfinite(value) else None
