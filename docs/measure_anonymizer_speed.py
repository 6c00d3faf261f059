"""Times the native anonymizers on real heads and on a phantom; puts the tables into docs/anonymizers.md.

    python docs/measure_anonymizer_speed.py [HEADS] [--anyway]

HEADS is a folder of NIfTI files; if not given, $REFBENCH_HEADS, or shared/heads beside the repository. They are called
head_a, head_b, ... in the order of their names. Everything runs one after the other, every step in a process of its own
with one thread. On a busy machine nothing is measured, unless `--anyway`; caideface takes part where its template is
found. Nothing between the markers is ever typed.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import string
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

# Nothing heavy is imported here: on Linux a process counts the peak memory of the one that started it as its own.

DOCUMENT = Path(__file__).with_name("anonymizers.md")
STEPS = Path(__file__).with_name("measured_step.py")
ROOT = DOCUMENT.parents[1]

MOST_LOAD = 1.5
GOAL_SECONDS, GOAL_MB = 5.0, 1500.0
ROUNDS = 2

UNITS_PER_MB = 1024 * 1024 if sys.platform == "darwin" else 1024
"""Of what the system counts memory in."""

NATIVE: tuple[tuple[str, dict[str, str]], ...] = (
    ("mask_face", {}),
    ("mask_face", {"filter": "blur"}),
    ("mri_deface", {"backend": "native"}),
    ("blur", {}),
    ("blur", {"region": "head_surface"}),
    ("pixelate", {}),
    ("noise", {}),
    ("coating", {}),
    ("pydeface", {}),
    ("quickshear", {}),
    ("caideface", {}),
    ("reface", {}),
    ("blank", {}),
)


class Cost(NamedTuple):
    """What a step took: wall seconds, and at most so many MB of memory at once."""

    seconds: float
    mb: float


class Volume(NamedTuple):
    """A head in all it takes to measure: its folder holds head.nii, brain.nii, and what steps leave for later ones."""

    name: str
    folder: Path
    size: str
    load: Cost
    shared: dict[str, Cost]


class Release(NamedTuple):
    """An anonymizer on one head: itself, and with all that it needs when nothing has been found yet."""

    itself: Cost
    first: Cost
    goal: str


def main() -> None:
    """Measure, print, write."""
    options = _options()
    load = os.getloadavg()[0]
    if load > MOST_LOAD and not options.anyway:
        sys.exit(f"the load average is {load:.1f}, above {MOST_LOAD}: wait until nothing else runs, or give --anyway")
    files = sorted(options.heads.glob("*.nii.gz"))
    if not files:
        sys.exit(f"no .nii.gz file in {options.heads}: name the folder of the heads, or set REFBENCH_HEADS")
    with tempfile.TemporaryDirectory(prefix="refbench-speed-") as scratch:
        named = {f"head_{letter}": file for letter, file in zip(string.ascii_lowercase, files, strict=False)}
        volumes = [_volume(name, Path(scratch), file) for name, file in [*named.items(), ("phantom", None)]]
        lines = [*_machine(load), "", *_shared_table(volumes), "", *_native_table(volumes), "", *_other_table(volumes)]
    text = "\n".join(lines)
    print(text)
    _insert(text)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Times the native anonymizers.")
    beside = os.environ.get("REFBENCH_HEADS", ROOT.parent / "shared" / "heads")
    parser.add_argument("heads", nargs="?", type=Path, default=Path(beside), help="folder of NIfTI files")
    parser.add_argument("--anyway", action="store_true", help="measure and write on a busy machine too")
    return parser.parse_args()


def _volume(name: str, scratch: Path, file: Path | None) -> Volume:
    """Prepare a head, or the phantom if there is no file, and measure what its anonymizers share."""
    folder = scratch / name
    folder.mkdir()
    made = _child("prepare", folder, file=str(file) if file else None)
    cost = {step: _cost(_best(step, folder)) for step in ("load", "registration", "brain")}
    return Volume(name, folder, made["size"], cost.pop("load"), cost)


def _machine(load: float) -> list[str]:
    from refbench.provenance import environment

    machine = environment()
    return [
        f"Measured on {datetime.date.today()}: {machine['cpu']}, {machine['cores']} cores, of which one thread is "
        f"used; load average at the start {load:.1f}; Python {machine['python']}, "
        + ", ".join(f"{name} {machine['packages'][name]}" for name in ("numpy", "scipy", "torch", "niimath"))
        + f". Each figure is the better of {ROUNDS} runs, each in a fresh process.",
    ]


def _shared_table(volumes: list[Volume]) -> list[str]:
    rows = [
        {
            "head": volume.name,
            "voxels": volume.size,
            "only loaded": f"{volume.load.mb:.0f} MB",
            **{step: f"{cost.seconds:.1f} s, {cost.mb:.0f} MB" for step, cost in volume.shared.items()},
        }
        for volume in volumes
    ]
    return ["What anonymizers share, found once per head:", "", *_markdown(rows)]


def _native_table(volumes: list[Volume]) -> list[str]:
    rows = []
    for name, params in NATIVE:
        releases = [_release(name, params, volume) for volume in volumes]
        label = f"{name}({', '.join(f'{key}={value}' for key, value in params.items())})" if params else name
        cells = {
            volume.name: release if isinstance(release, str) else _cell(release)
            for volume, release in zip(volumes, releases, strict=True)
        }
        # The last volume is the phantom, for whose size the goal is set.
        goal = "–" if isinstance(releases[-1], str) else releases[-1].goal
        rows.append({"anonymizer": f"`{label}`", **cells, "goal": goal})
    return [
        "Each anonymizer: seconds of itself, with registration and brain mask given → seconds of a first release, "
        "which also pays for those of the two that it needs, and the most memory that any of these steps takes. "
        "Reading the face template counts, reading and writing the head does not. The goal, set for a head of the "
        f"phantom's size: a first release in less than {GOAL_SECONDS:.0f} s and {GOAL_MB / 1000:g} GB.",
        "",
        *_markdown(rows),
    ]


def _release(name: str, params: dict[str, str], volume: Volume) -> Release | str:
    """What it takes, or why it does not run."""
    result = _best("anonymize", volume.folder, name=name, params=params)
    if "problem" in result:
        return str(result["problem"])
    itself = _cost(result)
    needed = {step: cost for step, cost in volume.shared.items() if step in result["needs"]}
    mb = max(cost.mb for cost in (itself, *needed.values()))
    first = Cost(itself.seconds + sum(cost.seconds for cost in needed.values()), mb)
    without_brain = first.seconds - (needed["brain"].seconds if "brain" in needed else 0)
    return Release(itself, first, _goal(first, without_brain))


def _goal(first: Cost, without_brain: float) -> str:
    """Whether a first release meets the goal, and what it misses it by."""
    missed = [f"{first.seconds:.1f} s"] if first.seconds >= GOAL_SECONDS else []
    missed += [f"{first.mb:.0f} MB"] if first.mb >= GOAL_MB else []
    if missed == [f"{first.seconds:.1f} s"] and without_brain < GOAL_SECONDS:
        missed.append(f"of which all but the brain mask {without_brain:.1f} s")
    return f"missed: {', '.join(missed)}" if missed else "met"


def _cell(release: Release) -> str:
    return f"{release.itself.seconds:.2f} → {release.first.seconds:.1f} s, {release.first.mb:.0f} MB"


def _other_table(volumes: list[Volume]) -> list[str]:
    rows = []
    for volume in volumes:
        for name, label, command in _programs(volume):
            other = min((_program(command) for _ in range(ROUNDS)), key=lambda cost: cost.seconds)
            runs = [_child("release", volume.folder, name=name) for _ in range(ROUNDS)]
            native = min((Cost(run["whole"], run["mb"]) for run in runs), key=lambda cost: cost.seconds)
            rows.append(
                {
                    "head": volume.name,
                    "program": label,
                    "program takes": f"{other.seconds:.1f} s, {other.mb:.0f} MB",
                    "native takes": f"{native.seconds:.1f} s, {native.mb:.0f} MB",
                    "time, native : program": f"{native.seconds / other.seconds:.2f} : 1",
                    "memory, native : program": f"{native.mb / other.mb:.2f} : 1",
                }
            )
    return [
        "The native ones against programs of other people that do the same: whole processes, from the start to the "
        "written file, all files uncompressed. Both quickshears are given the brain mask as a file; both pydefaces "
        "register the head.",
        "",
        *_markdown(rows),
    ]


def _programs(volume: Volume) -> Iterator[tuple[str, str, list[str]]]:
    """Native name, label and command line of each program."""
    data = _package("pydeface") / "data"
    head, brain, out = (str(volume.folder / name) for name in ("head.nii", "brain.nii", "other.nii"))
    yield "quickshear", "quickshear (PyPI)", [str(Path(sys.executable).with_name("quickshear")), head, brain, out]
    # The program itself, not the Python that finds it.
    niimath = str(_package("niimath") / "bin" / "niimath")
    atlas = [str(data / "mean_reg2mean.nii.gz"), str(data / "facemask.nii.gz")]
    yield "pydeface", "niimath -deface", [niimath, head, "-deface", *atlas, "-gz", "0", out]


def _package(name: str) -> Path:
    """The folder of an installed package, which is not imported."""
    found = find_spec(name)
    assert found is not None
    assert found.submodule_search_locations
    return Path(found.submodule_search_locations[0])


def _program(command: list[str]) -> Cost:
    """Run a program to its end."""
    started = time.perf_counter()
    with tempfile.TemporaryFile() as said, subprocess.Popen(command, stdout=said, stderr=said, env=_alone()) as process:
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            sys.exit(f"{command[0]} failed: {said.read().decode(errors='replace')[-500:]}")
    return Cost(seconds, usage.ru_maxrss / UNITS_PER_MB)


def _best(step: str, folder: Path, **more: Any) -> dict[str, Any]:
    """The quickest of several runs."""
    runs = [_child(step, folder, **more) for _ in range(ROUNDS)]
    return min(runs, key=lambda run: float(run.get("seconds", 0)))


def _cost(run: dict[str, Any]) -> Cost:
    return Cost(run["seconds"], run["mb"])


def _child(step: str, folder: Path, **more: Any) -> dict[str, Any]:
    """Run a step in a process of its own; what it returns, and the seconds of the whole process."""
    order = json.dumps({"step": step, "folder": str(folder), **more})
    started = time.perf_counter()
    done = subprocess.run([sys.executable, str(STEPS), order], capture_output=True, text=True, env=_alone())
    whole = time.perf_counter() - started
    print(f"{folder.name}: {step} {more.get('name', '')} ({whole:.1f} s)", file=sys.stderr)
    if done.returncode:
        sys.exit(f"{step} of {folder.name} failed: {done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**result, "whole": whole}


def _alone() -> dict[str, str]:
    """The environment in which numerical libraries use one thread."""
    libraries = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "VECLIB")
    return os.environ | {f"{library}_NUM_THREADS": "1" for library in libraries}


def _markdown(rows: list[dict[str, str]]) -> list[str]:
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    return [*lines, *("| " + " | ".join(row.values()) + " |" for row in rows)]


def _insert(text: str) -> None:
    begin, end = "<!-- speed: measure_anonymizer_speed.py -->\n", "<!-- end of speed -->"
    before, rest = DOCUMENT.read_text().split(begin)
    DOCUMENT.write_text(f"{before}{begin}\n{text}\n\n{rest[rest.index(end) :]}")


if __name__ == "__main__":
    main()
