"""Anonymizes NIfTI files where they lie: one head, a folder of heads, or a BIDS data set.

Beside each released `X.nii.gz` stand `X_changed.nii.gz`, the mask of what was changed, `X.json`, which says how it was
de-identified and acquired, and `X_anonymized.json`, the record of what became of it. A head whose record fits is not
done again. Of a BIDS data set a derivative one is made, with BIDS' own names: `sub-01_desc-anonymized_T1w.nii.gz` and
`sub-01_mod-T1w_desc-anonymized_defacemask.nii.gz`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from refbench.anonymize_head import HeadRecord, Method, read_record
from refbench.bids_derivative import check_place, describe
from refbench.errors import DataError, Unavailable
from refbench.head_processes import side_by_side
from refbench.nifti_tree import HeadFile, head_files
from refbench.sidecar import write_sidecar
from refbench.store import write_atomically

SUMMARY_NAME = "anonymized.csv"


class Listener(Protocol):
    """Hears how a batch goes on; called in the thread of the batch."""

    def planned(self, heads: int, done: int) -> None:
        """So many heads were found, of which so many are done already."""

    def ended(self, record: HeadRecord) -> None:
        """A head has ended, well or not."""


@dataclass(frozen=True)
class Summary:
    """What a batch came to.

    Attributes:
        records: of all heads, in the order of their names. done_before: how many of them were not done again.
        left_out: NIfTI files of the input that are not in the output, as they are no T1-weighted heads of a BIDS data
            set. Their faces are not hidden. derivative: whether the output is a BIDS data set.
    """

    records: tuple[HeadRecord, ...]
    done_before: int
    left_out: int
    derivative: bool


def anonymize_files(source: Path, out: Path, method: Method, *, jobs: int = 1, listener: Listener) -> Summary:
    """Anonymize one head, all heads of a folder, or the `*_T1w` heads of a BIDS data set.

    A head that cannot be anonymized is recorded, and the others go on. Interrupted, it leaves whole files only, and the
    same call goes on where it ended. A folder's output mirrors its tree and has a table `anonymized.csv`. Nothing but
    heads goes into the derivative of a BIDS data set, as what participants.tsv and its like tell may identify people.

    Args:
        source: a .nii or .nii.gz file, or a folder.
        out: where to: for a file, another file name or a folder.
        method: the anonymizer, and how to use it.
        jobs: heads side by side, one core and up to 2 GB each.
        listener: hears how it goes on.

    Raises:
        Unavailable, PluginError: the anonymizer, or what judges its results, cannot be used on this machine.
        DataError: nothing to anonymize.
        RefbenchError: `out` would overwrite or mix with what is not its own.
    """
    if method.anonymizer.missing():
        raise Unavailable(f"{method.chosen.label}: {method.anonymizer.missing()}")
    tree = head_files(source, out)
    if tree.data_set:
        check_place(out)
        describe(tree.data_set, out, method.record(tree.files[0], ""), SUMMARY_NAME)
    files = {file.name: file for file in tree.files}
    records = {name: record for name, file in files.items() if (record := finished(file, method))}
    done_before = len(records)
    listener.planned(len(files), done_before)
    try:
        for name, record in records.items():
            if record.released and not files[name].sidecar.exists():  # interrupted just before it
                write_sidecar(files[name], record)
        waiting = [file for name, file in files.items() if name not in records]
        with closing(side_by_side(waiting, method, jobs)) as ended:
            for record in ended:
                records[record.file] = record
                if record.released:
                    write_sidecar(files[record.file], record)
                listener.ended(record)
    finally:
        ordered = tuple(records[name] for name in files if name in records)
        if source.is_dir() and ordered:
            write_atomically(out / SUMMARY_NAME, _table(ordered))
    return Summary(ordered, done_before, tree.left_out, tree.data_set is not None)


def finished(file: HeadFile, method: Method) -> HeadRecord | None:
    """The record of a head that need not be done again."""
    record = read_record(file.record)
    try:
        return record if record and record.fits(file, method) else None
    except DataError:  # its input is read again, and said to be wrong; its output is made again
        return None


def _table(records: Sequence[HeadRecord]) -> str:
    """A line per head, the figures as columns."""
    own = ("file", "anonymizer", "outcome", "note", "released", "seconds")
    figures = list(dict.fromkeys(name for record in records for name in record.figures))
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow([*own, *figures])
    for record in records:
        table.writerow([*(getattr(record, name) for name in own), *(record.figures.get(name, "") for name in figures)])
    return text.getvalue()
