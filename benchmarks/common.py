"""Images to train on, a clock, and a place in docs/performance.md."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from refbench.types import ReleasedSlices, SlicePairs

DOCUMENT = Path(__file__).parents[1] / "docs" / "performance.md"


def made_up_pairs(count: int, size: int, seed: int = 0) -> SlicePairs:
    """Ellipses on black, and the same with the left quarter blank; the speed of a step does not depend on images."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:size, :size] / size
    original = np.zeros((count, size, size), np.float32)
    for image in original:
        for brightness in rng.uniform(0.2, 0.9, 6):
            y, x, height, width = rng.uniform([0.3, 0.2, 0.05, 0.05], [0.7, 0.8, 0.3, 0.3])
            image[((rows - y) / height) ** 2 + ((columns - x) / width) ** 2 < 1] = brightness
    changed = np.broadcast_to(columns < 0.25, original.shape)
    numbers = np.arange(count)
    return SlicePairs(ReleasedSlices(np.where(changed, 0, original), numbers, numbers, changed), original)


def as_tensor(images: NDArray[np.float32], device: str) -> torch.Tensor:
    """Images [n, h, w], 0-1, as [n, 1, h, w], -1 to 1."""
    return (2 * torch.from_numpy(images)[:, None] - 1).to(device)


def steps_per_second(step: Callable[[], Any], device: str, seconds: float) -> float:
    """After two steps to get going: of the two halves of a time the faster one, as other work can only slow it down."""
    rates = []
    for _ in range(2):
        step()
    wait(device)
    for _ in range(2):
        started, count = time.perf_counter(), 0
        while time.perf_counter() - started < seconds / 2:
            for _ in range(10 if device == "cuda" else 1):
                step()
                count += 1
            wait(device)
        rates.append(count / (time.perf_counter() - started))
    return max(rates)


def wait(device: str) -> None:
    """Let the device finish."""
    if device == "cuda":
        torch.cuda.synchronize()


def table(header: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table, all but its first column aligned to the right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def arguments(parser: argparse.ArgumentParser, most_load: float) -> argparse.Namespace:
    """What was given, `anyway` and `dry` among it.

    Raises:
        SystemExit: the machine does other work, and nobody said `--anyway`.
    """
    parser.add_argument("--anyway", action="store_true", help="measure on a busy machine, too")
    parser.add_argument("--dry", action="store_true", help=f"leave {DOCUMENT.name} as it is")
    given = parser.parse_args()
    if os.getloadavg()[0] > most_load and not given.anyway:
        sys.exit(f"The machine is busy (load {os.getloadavg()[0]:.1f}); wait, or give --anyway.")
    return given


def insert(document: Path, begin: str, end: str, text: str) -> None:
    """Replace what stands between two markers."""
    before, rest = document.read_text().split(begin)
    document.write_text(f"{before}{begin}{text}{rest[rest.index(end) :]}")


def publish(name: str, text: str, figures: dict[str, Any], machine: str) -> None:
    """Put text with machine and date between the markers of a name in the document, and figures into a JSON file."""
    date = datetime.date.today().isoformat()
    heading = f"{machine}, torch {torch.__version__}, {date}."
    insert(DOCUMENT, f"<!-- {name}: begin -->", f"<!-- {name}: end -->", f"\n{heading}\n\n{text}\n")
    file = DOCUMENT.with_name(f"{name}.json")
    file.write_text(
        json.dumps({"machine": machine, "torch": torch.__version__, "date": date, **figures}, indent=1) + "\n"
    )
    print(f"{heading}\n\n{text}\n\nwritten to {DOCUMENT} and {file}")
