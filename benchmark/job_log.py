"""What a job and its programs print: a file in its scratch folder that never becomes too long."""

from __future__ import annotations

import faulthandler
import io
import os
import sys
from pathlib import Path

NAME = "log.txt"
MOST_BYTES = 8_000_000
"""Of a longer log only the end is kept: who prints without end should not fill the disk."""
TAIL_LENGTH, TAIL_LINES = 4000, 40
"""What is kept in the record of a job that did not end well."""


def write_output_to(file: Path) -> None:
    """Send standard output and error of this process, and of its children, to the end of a file.

    A process that a signal ends has said all until then, and says where it was.
    """
    with file.open("ab") as stream:
        for descriptor in (1, 2):
            os.dup2(stream.fileno(), descriptor)
    for own in (sys.stdout, sys.stderr):
        if isinstance(own, io.TextIOWrapper):
            own.reconfigure(line_buffering=True)
    faulthandler.enable(2, all_threads=False)


def shorten(file: Path) -> None:
    """Keep the end alone of a log that has become too long. Whoever writes goes on behind it."""
    try:
        if file.stat().st_size <= MOST_BYTES:
            return
        end = "\n".join(tail(file))
        os.truncate(file, 0)
        with file.open("a", encoding="utf-8") as stream:
            stream.write(f"(what was printed before is left out)\n{end}\n")
    except OSError:
        pass  # it is gone, or the disk is full: nobody lives by it


def tail(file: Path) -> list[str]:
    """The last lines of a log, and not more of them than so many characters; none where there is no log."""
    try:
        with file.open("rb") as stream:
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - 5 * TAIL_LENGTH))
            lines = stream.read().decode(errors="replace").strip().splitlines()
    except OSError:
        return []
    # A crash ends with a list of all libraries, longer than what is of use.
    told = "\n".join(line for line in lines if not line.startswith("Extension modules: "))
    return told.strip()[-TAIL_LENGTH:].splitlines()[-TAIL_LINES:]
