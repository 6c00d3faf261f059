"""The section "Can people be recognised?": every recognizer on every condition, as the command `identify` prints it."""

from __future__ import annotations

from dataclasses import dataclass

from refbench.attack_names import attack_names
from refbench.face_columns import FaceFigures, percent
from refbench.identification import FIGURES, identification_figures
from refbench.labels import NOTHING_HIDDEN, plugin_name
from refbench.leaderboard import Leaderboard
from refbench.render_identification import HEADERS, attack_text, captions, figure_text
from refbench.results import Run


@dataclass(frozen=True)
class RecognitionRow:
    """One recognizer on one condition; `figures`: value and text of each heading."""

    anonymizer: str
    attack: str
    recognizer: str
    figures: tuple[tuple[float, str], ...]


@dataclass(frozen=True)
class Recognition:
    """What the section shows."""

    headings: tuple[str, ...]
    rows: tuple[RecognitionRow, ...]
    captions: tuple[str, ...]


def recognition(run: Run, faces: FaceFigures) -> Recognition | None:
    """The table of a run; None where nobody's face was looked for."""
    if run.identification.empty:
        return None
    figures = identification_figures(run.identification)
    rows = tuple(
        RecognitionRow(
            row["anonymizer"],
            attack_text(row),
            row["recognizer"],
            tuple((float(row[name]), figure_text(row, name, True)) for name in FIGURES),
        )
        for _, row in figures.iterrows()
    )
    return Recognition(tuple(HEADERS[name] for name in FIGURES), rows, tuple(captions(figures, faces)))


def recognition_sentences(board: Leaderboard) -> list[str]:
    """Who is recognised after the strongest attack, of every anonymizer that hides something.

    Args:
        board: with a row for every attack.
    """
    if not board.faces.recognized:
        return []
    names, lines = attack_names(board), []
    for anonymizer, rows in board.rows.groupby("anonymizer", sort=False):
        known = rows.dropna(subset=["reconstructed_rank1"])
        if plugin_name(str(anonymizer)) == NOTHING_HIDDEN or known.empty:
            continue
        worst = known.iloc[int(known["reconstructed_rank1"].to_numpy().argmax())]
        after, low, high = (float(worst[f"reconstructed_rank1{end}"]) for end in ("", "_low", "_high"))
        before = float(worst["anonymized_rank1"])
        interval = f"[{100 * low:.0f}, {100 * high:.0f}]"
        if before > after:
            lines.append(f"{anonymizer}: {percent(before)} of people are recognised as released; no attack beats that.")
        else:
            lines.append(
                f"{anonymizer}: {percent(before)} of people are recognised as released, and {percent(after)} "
                f"{interval} after {names[worst['attacker']]}."
            )
    return lines
