"""Images per second of training on a CPU: the project's loop beside a plain eager float32 one, in one run.

    python benchmarks/cpu_training.py [--seconds 20] [--threads 1 2] [--anyway]

The trainings are those of suites/demo.yaml, and two larger CycleGANs, on made-up images. Then a CycleGAN is trained
fast and, with several seeds, plainly, to see whether they end alike; and slices of 256 x 256 are reconstructed with the
founding paper's generator. On a busy machine nothing is measured, unless `--anyway`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch
import yaml
from common import arguments, as_tensor, made_up_pairs, publish, steps_per_second, table
from fidelity import fidelity
from plain import Step, cyclegan, pix2pix

from refbench.attackers.base import TrainingContext
from refbench.attackers.cyclegan import CycleGAN
from refbench.attackers.network_reconstructor import NetworkReconstructor
from refbench.attackers.networks import ResidualGenerator
from refbench.attackers.options import NetworkAttacker
from refbench.attackers.pace import Pace
from refbench.attackers.pace_choice import processor
from refbench.attackers.pix2pix import Pix2Pix
from refbench.attackers.saved_network import SavedNetwork
from refbench.types import SlicePairs

DEMO = Path(__file__).parents[1] / "suites" / "demo.yaml"
MOST_LOAD = 1.5
IMAGES = 64

FAST = Pace(bfloat16=True, channels_last=True)

MINUTES_OF_TRAINING = 15
"""Long enough to be measured, too short to be compiled."""
TEST_SET, RECONSTRUCTED, MINUTES = 1701, 48, 5
"""Images of the founding paper's test set, how many of them are timed here, and the goal for all."""

LARGER: dict[str, dict[str, Any]] = {
    "64 px, width 16, 4 blocks, batch 8": {"width": 16, "blocks": 4, "batch": 8},
    "128 px, width 16, 4 blocks, batch 4": {"width": 16, "blocks": 4, "batch": 4},
}


class Case(NamedTuple):
    """One training: what tables call it, the attacker, and the side of its images."""

    name: str
    attacker: NetworkAttacker
    size: int


def cases() -> Iterator[Case]:
    """The demo's trainings without what only pix2pix of this project does, and larger ones."""
    for entry in yaml.safe_load(DEMO.read_text())["attackers"]:
        if isinstance(entry, dict) and "pix2pix" in entry:
            bare = {name: False for name in ("average", "composite") if name in Pix2Pix.model_fields}
            yield Case("demo's pix2pix", Pix2Pix(**{**entry["pix2pix"], **bare}), 64)
        if isinstance(entry, dict) and "cyclegan" in entry:
            yield Case("demo's cyclegan", CycleGAN(**entry["cyclegan"]), 64)
    for name, options in LARGER.items():
        yield Case(f"cyclegan, {name}", CycleGAN(**options), int(name.partition(" ")[0]))


def plain_step(attacker: Any, pairs: SlicePairs) -> Step:
    """The same step, written plainly."""
    released, original = as_tensor(pairs.released.images, "cpu"), as_tensor(pairs.original, "cpu")
    if isinstance(attacker, CycleGAN):
        return cyclegan(released, original, attacker.width, attacker.blocks, attacker.batch)
    return pix2pix(released, original, attacker.width, attacker.batch)


class Enough(Exception):  # noqa: N818  (nothing went wrong)
    """A training has been watched for long enough."""


def of_the_loop(attacker: NetworkAttacker, pairs: SlicePairs, seconds: float) -> tuple[float, str]:
    """Steps per second of `fit` once it runs, and the pace that it has chosen."""
    reports: list[tuple[float, int]] = []

    def report(done: int, total: int, losses: dict[str, float]) -> None:
        reports.append((time.perf_counter(), done))
        if reports[-1][0] - reports[0][0] > seconds and len(reports) > 2:
            raise Enough

    timed = {"steps": 10**7, "budget_minutes": MINUTES_OF_TRAINING, "validations": 0}
    with tempfile.TemporaryDirectory() as folder:
        choices = Path(folder) / "choices"
        context = TrainingContext(0, Path(folder), report=report, choices=choices)
        with suppress(Enough):
            attacker.model_copy(update=timed).fit(pairs, pairs.take(slice(0, 0)), context)
        kept = [json.loads(file.read_text())["pace"] for file in choices.glob("*.json")]
    chosen = [name for pace in kept for name, used in pace.items() if used]
    middle = len(reports) // 2
    halves = [(reports[0], reports[middle]), (reports[middle], reports[-1])]
    rate = max((end[1] - start[1]) / (end[0] - start[0]) for start, end in halves)
    return rate, " + ".join(chosen).replace("_", " ") or "float32"


def seconds_per_reconstruction(bfloat16: bool) -> float:
    """Of one slice of 256 x 256 by the paper's generator."""
    network = ResidualGenerator(width=32, blocks=9).eval()
    trained = NetworkReconstructor(SavedNetwork({}, network, "cpu", bfloat16))
    released = made_up_pairs(RECONSTRUCTED, 256).released
    trained.reconstruct(released.take(slice(0, 16)))
    started = time.perf_counter()
    trained.reconstruct(released)
    return (time.perf_counter() - started) / RECONSTRUCTED


def together(figures: list[dict[str, Any]]) -> str:
    """What the demo's trainings gain as a whole: one of each, as long as the demo makes them."""
    demo = [figure for figure in figures if figure["name"].startswith("demo")]
    ratios = []
    for threads in sorted({figure["threads"] for figure in demo}):
        plain, ours = (
            sum(figure["images"] / figure[way] for figure in demo if figure["threads"] == threads)
            for way in ("plain", "loop")
        )
        ratios.append(f"{plain / ours:.2f} times as fast with {threads} thread{'s' if threads > 1 else ''}")
    return (
        "The demo's trainings, one of each and in their length: " + ", ".join(ratios) + ". On two cores the demo runs "
        "two of them side by side, one thread each."
    )


def main() -> None:
    """Measure, print and publish."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="per timing")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--fidelity-images", type=int, default=2000)
    given = arguments(parser, MOST_LOAD)
    rows, figures = [], []
    for threads in given.threads:
        torch.set_num_threads(threads)
        for name, attacker, size in cases():
            pairs = made_up_pairs(IMAGES, size)
            plain = attacker.batch * steps_per_second(plain_step(attacker, pairs), "cpu", given.seconds)
            steps, pace = of_the_loop(attacker, pairs, given.seconds)
            ours = attacker.batch * steps
            rows.append([name, str(threads), f"{plain:.1f}", f"{ours:.1f}", pace, f"{ours / plain:.2f}"])
            images = attacker.batch * (attacker.steps or 0)
            figures.append(
                {"name": name, "threads": threads, "plain": plain, "loop": ours, "pace": pace, "images": images}
            )
            print(*rows[-1], flush=True)
    judged, options = next(iter(LARGER.items()))
    alike, losses = fidelity(CycleGAN(**options), 64, FAST, given.fidelity_images, "cpu")
    print(alike, flush=True)
    each = {name: seconds_per_reconstruction(name == "bfloat16") for name in ("float32", "bfloat16")}
    minutes = ", ".join(
        f"{name} {seconds:.3f} s a slice, so {TEST_SET} slices in {TEST_SET * seconds / 60:.1f} minutes"
        for name, seconds in each.items()
    )
    text = (
        table(["training", "threads", "plain, images/s", "the loop, images/s", "its pace", "ratio"], rows)
        + f"\n\n{together(figures)}\n\ncyclegan, {judged}: {alike}\n\n"
        f"Reconstruction by the paper's generator at 256 x 256, {torch.get_num_threads()} threads, "
        f"measured on {RECONSTRUCTED} slices: {minutes} (goal: under {MINUTES})."
    )
    if given.dry:
        print(text)
    else:
        publish(
            "cpu", text, {"trainings": figures, "fidelity": losses, "seconds_per_reconstruction": each}, processor()
        )


if __name__ == "__main__":
    main()
