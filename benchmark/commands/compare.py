"""Commands `refbench compare` and `refbench gate`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer
from rich.text import Text

from refbench import completion
from refbench.commands.common import INTERRUPTED, JobsOption, RegionOption, StoreOption, SuiteArgument, errors, output
from refbench.errors import RefbenchError, SuiteError
from refbench.registry import closest
from refbench.store import Store, default_store

if TYPE_CHECKING:
    from refbench.baseline import Baseline
    from refbench.results import Run
    from refbench.run import Outcome
    from refbench.suite import Suite

FORMATS = ("table", "markdown", "json")
FormatOption = Annotated[
    str, typer.Option("--format", help="table, markdown or json", autocompletion=completion.one_of(*FORMATS))
]


def compare(
    before: Annotated[str, typer.Argument(help="The earlier run, by name or folder", autocompletion=completion.runs)],
    now: Annotated[str, typer.Argument(help="The later run, by name or folder", autocompletion=completion.runs)],
    store: StoreOption = None,
    format: FormatOption = "table",  # noqa: A002
    region: RegionOption = None,
) -> None:
    """Say of every row of two runs: same, better, worse, not comparable or newly failing, and by how much.

    Tolerances are those of the later run's suite. Exit code 4: no row can be compared.

    For example:

        refbench compare ci-9154c41d ci-2b7e01aa
        refbench compare ci-9154c41d ci-2b7e01aa --format markdown
    """
    from refbench import compare as comparing
    from refbench.baseline import baseline_of
    from refbench.gate import NOTHING
    from refbench.leaderboard import default_view
    from refbench.results import find_runs, load_run

    _known_format(format)
    runs = [load_run(folder) for folder in find_runs((store or default_store()).absolute(), [before, now])]
    for run in runs:
        if run.scores.empty:
            raise RefbenchError(f"{run.folder.name} has no scores: see `refbench plan SUITE` for what failed")
    chosen = region or default_view(runs[1]).region
    first, second = (baseline_of(run, chosen) for run in runs)
    comparison = comparing.compare(first, second, _tolerances(runs[1].folder))
    _print(format, comparison)
    if not comparison.count("same", "better", "worse"):
        raise typer.Exit(NOTHING)


def show_means(before: Run, now: Run, tolerance: float) -> None:
    """Print the verdicts on two runs of one suite, with one tolerance for all metrics."""
    from refbench import compare as comparing
    from refbench.baseline import baseline_of
    from refbench.compare_render import show
    from refbench.leaderboard import default_view

    if before.scores.empty or now.scores.empty:
        return
    region = default_view(before).region
    first, second = baseline_of(before, region), baseline_of(now, region)
    tolerances = dict.fromkeys(before.scores["metric"].unique(), tolerance)
    show(comparing.compare(first, second, tolerances), output)


def gate(
    suite: SuiteArgument,
    baseline: Annotated[Path, typer.Option(help="The committed baseline, a JSON file")],
    store: StoreOption = None,
    write: Annotated[bool, typer.Option("--write", help="Run, and make the result the baseline.")] = False,
    summary: Annotated[Optional[Path], typer.Option(help="Write a Markdown summary to this file")] = None,  # noqa: UP045
    github: Annotated[
        bool, typer.Option("--github", help="Append the summary to the file that $GITHUB_STEP_SUMMARY names.")
    ] = False,
    format: FormatOption = "table",  # noqa: A002
    jobs: JobsOption = None,
) -> None:
    """Run a suite and compare it with a committed baseline, for continuous integration.

    Exit codes: 0 as good or better; 1 an anonymizer hides less, or an attack got weaker; 2 the suite, its data or the
    baseline is wrong; 3 rows of the baseline have no figures now; 4 nothing can be compared.

    For example:

        refbench gate suite.yaml --baseline baseline.json --write
        refbench gate suite.yaml --baseline baseline.json --summary changes.md
    """
    from refbench.baseline import baseline_of, read_baseline, write_baseline
    from refbench.compare_render import to_markdown
    from refbench.gate import INCOMPLETE, check_tolerances, judge
    from refbench.leaderboard import default_view
    from refbench.suite import load_suite

    _known_format(format)
    chosen = load_suite(suite)
    check_tolerances(chosen)
    known = None if write else read_baseline(baseline)
    outcome = _execute(chosen, Store(store or default_store()), jobs)
    if outcome.run.scores.empty:
        _failures(outcome)
        errors.print("Incomplete: this run has no scores.")
        raise typer.Exit(INCOMPLETE)
    if known is None:
        made = baseline_of(outcome.run, default_view(outcome.run).region)
        _write(made, baseline, outcome, write_baseline)
        return
    comparison, verdict = judge(known, baseline_of(outcome.run, known.region), chosen)
    _print(format, comparison, verdict)
    text = to_markdown(comparison, verdict) + "\n"
    if summary is not None:
        summary.write_text(text, encoding="utf-8")
    if github:
        _append_for_github(text)
    _failures(outcome)
    said = [verdict.headline, *(f"  {x.verdict}: {x.anonymizer}, {x.attack}: {x.reason}" for x in verdict.blamed)]
    errors.print(Text("\n".join(said)), soft_wrap=True)
    raise typer.Exit(verdict.code)


def _execute(suite: Suite, store: Store, jobs: int | None) -> Outcome:
    from refbench.run import execute
    from refbench.watch.console import ConsoleProgress

    progress = ConsoleProgress(errors)  # the table, or JSON, has the standard output for itself
    try:
        with progress:
            return execute(suite, store, progress, slots=jobs)
    except KeyboardInterrupt:
        errors.print(f"Stopped. What finished is kept in {store.root}; the same command goes on from there.")
        raise typer.Exit(INTERRUPTED) from None


def _failures(outcome: Outcome) -> None:
    for record in outcome.failures[:10]:
        if record["status"] != "blocked":
            errors.print(Text(f"  {record['label']}: {record['status']}: {record['error']}"), soft_wrap=True)


def _write(made: Baseline, path: Path, outcome: Outcome, write_baseline: Any) -> None:
    from refbench.gate import INCOMPLETE

    if made.incomplete:
        _failures(outcome)
        rows = ", ".join(f"{row.anonymizer}, {row.attacker or 'released'}: {row.status}" for row in made.incomplete)
        errors.print(Text(f"No baseline is made of a run that is incomplete: {rows}."), soft_wrap=True)
        raise typer.Exit(INCOMPLETE)
    write_baseline(made, path)
    output.print(Text(f"{path}: {len(made.rows)} rows, region {made.region}; commit it."), soft_wrap=True)


def _append_for_github(text: str) -> None:
    place = os.environ.get("GITHUB_STEP_SUMMARY")
    if not place:
        errors.print(
            "--github: $GITHUB_STEP_SUMMARY is not set, so this is no step of GitHub Actions; nothing written."
        )
        return
    with Path(place).open("a", encoding="utf-8") as file:
        file.write(text)


def _tolerances(folder: Path) -> dict[str, float]:
    """Those of the suite as it was run; it was valid then."""
    import yaml

    try:
        data = yaml.safe_load((folder / "suite.yaml").read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise RefbenchError(f"{folder / 'suite.yaml'} cannot be read: {error}") from error
    return dict((data.get("tolerances") or {}) if isinstance(data, dict) else {})


def _print(chosen: str, comparison: Any, verdict: Any = None) -> None:
    from refbench import compare_render

    if chosen == "table":
        compare_render.show(comparison, output)
    else:
        writer = {"markdown": compare_render.to_markdown, "json": compare_render.to_json}[chosen]
        sys.stdout.write(writer(comparison, verdict) + "\n")


def _known_format(name: str) -> None:
    if name not in FORMATS:
        raise SuiteError(f"unknown format {name!r}{closest(name, FORMATS)}")
