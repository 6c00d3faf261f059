"""The commands about data: `data ixi`, `data phantom` and `data verify`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Optional

import typer
from rich.text import Text

from refbench import completion
from refbench.commands.common import FAILURES, INTERRUPTED, errors, output
from refbench.datasets.ixi_source import ARCHIVE, ARCHIVE_BYTES, LICENCE, PAGE, SOURCE, SPREADSHEET, SUBJECTS
from refbench.machine import cores

if TYPE_CHECKING:
    from refbench.datasets.base import Dataset
    from refbench.verify import Verdict

app = typer.Typer(help="Get data sets, and check that every file can be used.", no_args_is_help=True)

JobsOption = Annotated[Optional[int], typer.Option(min=1, help="Scans side by side [default: one per core]")]  # noqa: UP045


@app.command()
def ixi(
    folder: Annotated[Path, typer.Argument(metavar="DEST", help="Folder that gets IXI-T1/, IXI-T1.tar and IXI.xls")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    source: Annotated[str, typer.Option(metavar="URL", help="A mirror: where IXI-T1.tar and IXI.xls lie")] = SOURCE,
    any_checksum: Annotated[bool, typer.Option("--any-checksum", help="Take what a mirror packed anew.")] = False,
    jobs: JobsOption = None,
) -> None:
    """Download IXI's T1 heads and the table of ages, unpack them and check every file.

    The same command again goes on where the last one ended. Nothing is asked of the network before you agree.

    For example:

        refbench data ixi data
    """
    from refbench.download_ixi import download_ixi
    from refbench.progress import DownloadProgress

    for line in (
        f"IXI: T1-weighted heads of {SUBJECTS} people ({ARCHIVE}), their ages and sexes ({SPREADSHEET})",
        f"size     about {ARCHIVE_BYTES / 1e9:.1f} GB to download and as much again to unpack",
        f"from     {source}",
        f"to       {folder.expanduser().absolute()}",
        f"licence  {LICENCE}; acknowledge {PAGE}",
        "These are real people, and their faces can be seen: keep the files to yourself.",
    ):
        output.print(Text(line), soft_wrap=True)
    if not yes:
        typer.confirm("Download?", abort=True)
    try:
        with DownloadProgress(output) as progress:
            heads = download_ixi(folder, progress, source=source, any_checksum=any_checksum)
    except KeyboardInterrupt:
        errors.print("Stopped. What has come is kept; the same command goes on from there.")
        raise typer.Exit(INTERRUPTED) from None
    _show(_verified(_dataset("ixi", heads), (), jobs))
    output.print(Text(f"in a suite: dataset: {{ixi: {{path: {heads}}}}}"), soft_wrap=True)
    if (heads.parent / ARCHIVE).exists():
        output.print(Text(f"{heads.parent / ARCHIVE} is no longer needed."), soft_wrap=True)


@app.command()
def phantom(
    folder: Annotated[Path, typer.Argument(metavar="DEST", help="New folder that gets a BIDS data set")],
    subjects: Annotated[int, typer.Option(min=1, max=9999, help="People")] = 30,
    sessions: Annotated[int, typer.Option(min=1, max=3, help="Most visits of one person")] = 1,
    scale: Annotated[float, typer.Option(min=0.2, max=1, help="Voxels per side, as a share of 150 x 256 x 256")] = 0.5,
    seed: Annotated[int, typer.Option(min=0, help="Draws other people")] = 0,
    scanners: Annotated[
        Literal["sites", "varied"], typer.Option(help="One for each site, or another at each visit")
    ] = "sites",
    jobs: JobsOption = None,
) -> None:
    """Write phantoms as a BIDS data set, with their labels and all that is true of them: no network, no real people.

    For example:

        refbench data phantom heads --subjects 12 --scale 0.25
    """
    from refbench.datasets.phantom_files import write_cohort
    from refbench.progress import Counting

    cohort = {"subjects": subjects, "sessions": sessions, "scale": scale, "seed": seed, "scanners": scanners}
    with Counting(output, "write") as counting:
        write_cohort(cohort, folder, jobs=jobs or cores(), progress=counting.at)
    output.print(Text(f"in a suite: dataset: {{bids: {{path: {folder}}}}}"), soft_wrap=True)


@app.command()
def verify(
    what: Annotated[
        str,
        typer.Argument(
            help="A suite, whose dataset is meant; or a folder of scans, or IXI-T1.tar",
            autocompletion=completion.suites,
        ),
    ],
    dataset: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            help="How a folder is read: ixi, bids, folder or another dataset [default: by what lies in it]",
            autocompletion=completion.of_kind("dataset"),
        ),
    ] = None,
    jobs: JobsOption = None,
) -> None:
    """Read every scan, and name each file that is truncated, damaged or no head, or differs from most of its site.

    Exit code 3 if any cannot be used. Files that only differ are named, too.

    For example:

        refbench data verify ixi
        refbench data verify heads --dataset bids
    """
    from refbench.datasets.base import Dataset
    from refbench.suite import load_suite

    path = Path(what).expanduser()
    if dataset is None and not path.is_dir() and path.suffix != ".tar":
        suite = load_suite(what)
        datasets = [chosen.plugin for chosen in suite.datasets.values() if isinstance(chosen.plugin, Dataset)]
        verdicts = [_verified(one, suite.plugin_files, jobs) for one in datasets]
    else:
        verdicts = [_verified(_dataset(dataset or _kind(path), path), (), jobs)]
    _show(*verdicts)


def _kind(path: Path) -> str:
    """Which dataset reads what lies there."""
    from refbench.errors import DataError

    if (path / "dataset_description.json").is_file():
        return "bids"
    try:
        _dataset("ixi", path).label_names()
    except DataError:
        return "folder" if path.is_dir() else "ixi"
    return "ixi"


def _dataset(name: str, path: Path) -> Dataset:
    from refbench.datasets.base import Dataset
    from refbench.errors import SuiteError
    from refbench.registry import Registry

    plugin_class = Registry.discover().find("dataset", name).load()
    if "path" not in plugin_class.model_fields:
        raise SuiteError(f"the dataset {name} reads no folder. Give a suite that uses it.")
    # Anywhere below, and each file for itself: who they are matters to a suite only.
    anyone = {"glob": "**/*.nii*", "pattern": "(?P<subject>.*)"} if name == "folder" else {}
    dataset = plugin_class.model_validate({"path": path, **anyone})
    assert isinstance(dataset, Dataset)
    return dataset


def _verified(dataset: Dataset, plugin_files: tuple[Path, ...], jobs: int | None) -> Verdict:
    from refbench.progress import Counting
    from refbench.verify import verify as verify_dataset

    with Counting(output, "check") as counting:
        return verify_dataset(dataset, jobs=jobs or cores(), plugin_files=plugin_files, progress=counting.at)


def _show(*verdicts: Verdict) -> None:
    for verdict in verdicts:
        for message in verdict.unusual:
            output.print(Text(f"  ! {message}"), soft_wrap=True)
        for message in verdict.unusable:
            errors.print(Text(f"  ✗ {message}"), soft_wrap=True)
        good = verdict.checked - len(verdict.unusable)
        output.print(
            f"{verdict.checked} scan(s): {good} can be used, {len(verdict.unusable)} cannot; "
            f"{len(verdict.unusual)} of another shape or voxel size than most",
            soft_wrap=True,
        )
    if any(verdict.unusable for verdict in verdicts):
        raise typer.Exit(FAILURES)
