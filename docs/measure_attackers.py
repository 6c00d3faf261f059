"""Prints what the attackers of a run gained and cost, a table per anonymizer, and puts it into docs/attackers.md.

    refbench run suites/ixi_hh.yaml
    python docs/measure_attackers.py [RUN] [--store FOLDER]

RUN is a run's name or folder, the latest one if not given. The text between the markers

    <!-- figures: measure_attackers.py -->
    <!-- end of figures -->

is replaced, and never typed.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from refbench.attack_figures import Attack, Attacks, attack_figures
from refbench.results import Run, find_runs, load_run
from refbench.statistics import Estimate
from refbench.store import Store, default_store

DOCUMENT = Path(__file__).with_name("attackers.md")
BEGIN, END = "<!-- figures: measure_attackers.py -->\n", "<!-- end of figures -->"


def main(arguments: Sequence[str]) -> None:
    """Read a run, print its tables, put them into the document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", nargs="?", help="name or folder of a run; the latest if not given")
    parser.add_argument("--store", type=Path, default=default_store(), help="folder of results")
    parser.add_argument("--document", type=Path, default=DOCUMENT, help="where the markers stand")
    given = parser.parse_args(arguments)
    store = Store(given.store)
    (folder,) = find_runs(store.root, [given.run] if given.run else [])
    run = load_run(folder)
    text = "\n\n".join([caption(run), *(table(attacks) for attacks in attack_figures(run, store))])
    print(text)
    insert(given.document, text)


def caption(run: Run) -> str:
    """What the tables are of."""
    tested = run.subjects[run.subjects["part"] == "test"]["subject"].nunique()
    return (
        f"Suite `{run.info['suite']}`, {tested} test people, correlation and SSIM in the changed region; in brackets "
        "the 95 % interval over people. Gain: over no attack, person by person, or over what the table says where no "
        "attack has no correlation. Closed: how much of the distance from there to the original (1) is gone; where "
        "there are several average faces, from each of them."
    )


def table(attacks: Attacks) -> str:
    """The attacks on one anonymizer as Markdown, the strongest first."""
    if not attacks.bases:
        return f"**`{attacks.anonymizer}`**: neither the release nor a mean face has a correlation there"
    first, *others = attacks.bases
    about = f"**`{attacks.anonymizer}`**: released {_interval(attacks.released)}; gains are over {first}"
    names = (
        "attacker",
        "region",
        "correlation",
        "gain",
        "closed",
        *(f"closed from `{base}`" for base in others),
        "SSIM",
        "training",
        "reconstruction",
        "memory",
        "on",
    )
    lines = [about, "", _row(names), "|" + "---|" * len(names)]
    several = len({attack.seed for attack in attacks.attacks}) > 1
    return "\n".join([*lines, *(_row(_cells(attack, several)) for attack in attacks.attacks)])


def _cells(attack: Attack, several: bool) -> Sequence[str]:
    cost, of_seed = attack.cost, f", seed {attack.seed}" if several else ""
    threads = f", {cost.threads} thread{'s' if cost.threads != 1 else ''}" if cost.threads else ""
    return (
        f"`{attack.attacker}`{of_seed}",
        attack.knows or "–",
        _interval(attack.correlation) if attack.status == "ok" else attack.status,
        _interval(attack.gain, signed=True),
        *map(_share, attack.closed),
        _number(attack.ssim),
        _unit(cost.train_seconds, "s", 1),
        _unit(cost.reconstruct_seconds, "s", 1),
        _unit(cost.memory_mb, "MB", 0),
        f"{cost.device}{threads}" or "–",
    )


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _number(value: float, signed: bool = False) -> str:
    return "–" if math.isnan(value) else f"{value:{'+' if signed else ''}.3f}"


def _interval(estimate: Estimate, signed: bool = False) -> str:
    value, low, high = (_number(part, signed) for part in (estimate.value, estimate.low, estimate.high))
    return value if value == "–" else f"{value} [{low}, {high}]"


def _share(estimate: Estimate) -> str:
    if math.isnan(estimate.value):
        return "–"
    value, low, high = (round(100 * part) for part in (estimate.value, estimate.low, estimate.high))
    return f"{value} % [{low}, {high}]"


def _unit(value: float | None, unit: str, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f} {unit}"


def insert(document: Path, text: str) -> None:
    """Replace what stands between the markers.

    Raises:
        SystemExit: the document or a marker is missing; it is left alone.
    """
    whole = document.read_text(encoding="utf-8") if document.is_file() else ""
    if whole.count(BEGIN) != 1 or END not in whole.partition(BEGIN)[2]:
        sys.exit(f"nothing written: {document} lacks the lines\n{BEGIN}{END}")
    before, _, rest = whole.partition(BEGIN)
    document.write_text(f"{before}{BEGIN}\n{text}\n\n{rest[rest.index(END) :]}", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
