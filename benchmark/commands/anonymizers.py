"""The commands about anonymizers alone: `anonymize` and `qc`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from refbench import completion
from refbench.commands.common import FAILURES, PluginOption, RunArgument, StoreOption, errors, output
from refbench.registry import Registry
from refbench.store import Store, default_store

if TYPE_CHECKING:
    from refbench.anonymize_head import HeadRecord


def anonymize(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A NIfTI file, a folder of them, or a BIDS data set")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Where to; a folder's tree is mirrored")],
    method: Annotated[
        str,
        typer.Option(
            "--with",
            help="Anonymizer, as in a suite: blur, 'blur: {strength_mm: 8}'",
            autocompletion=completion.of_kind("anonymizer"),
        ),
    ],
    jobs: Annotated[int, typer.Option(min=1, help="Heads side by side, one core and up to 2 GB each")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Decides random numbers, together with each head's voxels")] = 0,
    anyway: Annotated[bool, typer.Option("--anyway", help="Go on where no face is found.")] = False,
    plugin: PluginOption = None,
) -> None:
    """Hide the faces of heads on disk: same grid, header and data type, with a mask and a record beside each.

    Of a BIDS data set a BIDS derivative is made, of its T1-weighted heads alone. The same command again goes on where
    it was stopped. Each release is checked, whatever the anonymizer; look at what is reported before you share
    anything.

    For example:

        refbench anonymize head.nii.gz hidden.nii.gz --with mri_deface
        refbench anonymize scans/ released/ --with 'blur: {strength_mm: 8}' --jobs 4
    """
    from refbench.anonymize_files import anonymize_files
    from refbench.anonymize_head import Method
    from refbench.progress import HeadProgress
    from refbench.suite import choose

    chosen = choose("anonymizer", method, Registry.discover(plugin or ()))
    how = Method(chosen, seed, anyway, tuple(path.absolute() for path in plugin or ()))
    with HeadProgress(output) as progress:
        summary = anonymize_files(source, out, how, jobs=jobs, listener=progress)
    for record in summary.records:
        if record.outcome != "ok":
            errors.print(Text(f"  ✗ {_told(record)}"), soft_wrap=True)
    if len(summary.records) == 1 and summary.records[0].outcome == "ok":
        output.print(Text(_told(summary.records[0])), soft_wrap=True)
    counts = Counter(record.outcome for record in summary.records)
    said = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
    output.print(f"{len(summary.records)} head(s): {said}; {summary.done_before} done before")
    if summary.left_out:
        output.print(
            f"{summary.left_out} other NIfTI file(s) of the data set were left out: their faces are not hidden"
        )
    if summary.derivative:
        output.print("a BIDS derivative of heads alone: participants.tsv and all else that may identify was left out")
    if set(counts) - {"ok"}:
        raise typer.Exit(FAILURES)


def _told(record: HeadRecord) -> str:
    left = record.figures.get("skin_left")
    share = "" if left is None else f" ({100 * left:.0f} % of the facial skin left)"
    written = "" if record.released else "; nothing written"
    note = record.note.removeprefix(f"{record.outcome}: ")
    return f"{record.file}: {record.outcome}{share}{': ' if note else ''}{note}{written}"


def qc(
    run: RunArgument = None,
    store: StoreOption = None,
    faces: Annotated[bool, typer.Option("--faces", help="Draw real people, too: for local use only.")] = False,
) -> None:
    """Draw before and after: a page per anonymizer with slices and shaded views, into the run's folder.

    For example:

        refbench qc demo
    """
    from refbench.progress import Counting
    from refbench.qc import write_pages
    from refbench.results import find_runs, load_run

    place = Store((store or default_store()).absolute())
    (folder,) = find_runs(place.root, [run] if run else [])
    with Counting(output, "draw") as counting:
        pages = write_pages(load_run(folder), place, faces=faces, progress=counting.at)
    for page in pages:
        output.print(Text(str(page)), soft_wrap=True)
