"""The founding paper's CycleGAN at 256 x 256 on a GPU: how fast, how near the card's limits, and as good as slowly?

    python benchmarks/gpu_cyclegan.py [--seconds 5] [--batches 1 2 4 8 16] [--fidelity-images 4000]

Plain is eager float32 without TF32, as benchmarks/plain.py has it. Images are made up. Writes docs/performance.md.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from common import as_tensor, made_up_pairs, publish, steps_per_second, table, wait
from fidelity import PLAIN, fidelity, game_of
from plain import cyclegan
from torch.profiler import ProfilerActivity, profile

from refbench.attackers.cyclegan import CycleGAN
from refbench.attackers.pace import Pace
from refbench.attackers.pace_choice import candidates

DEVICE = "cuda"
SIZE, WIDTH, BLOCKS = 256, 32, 9
IMAGES = 256
GIGAFLOP_PER_IMAGE = 406
PAPER_IMAGES = 1_260_000
"""Of the paper's training on one scanner's people: 6300 slices, 200 epochs, batches of one."""

GOALS = {1: 4.0, 0: 8.0}
"""Times plain: with a batch of 1, and with the best batch (0)."""


def matrix_rate(seconds: float, side: int = 8192) -> float:
    """Floating-point operations per second of a large bfloat16 matrix product on this card."""
    left, right = (torch.randn(side, side, device=DEVICE, dtype=torch.bfloat16) for _ in range(2))
    return 2 * side**3 * steps_per_second(lambda: left @ right, DEVICE, seconds)


def plain_rate(batch: int, seconds: float) -> float:
    """Images per second of the plain loop."""
    pairs = made_up_pairs(IMAGES, SIZE)
    released, original = as_tensor(pairs.released.images, DEVICE), as_tensor(pairs.original, DEVICE)
    torch.backends.cudnn.allow_tf32 = False
    try:
        return batch * steps_per_second(cyclegan(released, original, WIDTH, BLOCKS, batch), DEVICE, seconds)
    finally:
        torch.backends.cudnn.allow_tf32 = True


def trained_alike(batch: int) -> CycleGAN:
    """The paper's attacker with another batch."""
    return CycleGAN(width=WIDTH, blocks=BLOCKS, batch=batch)


def loop_rate(batch: int, pace: Pace, seconds: float) -> dict[str, Any]:
    """Images per second of the project's loop at a pace, seconds until it ran, and its memory."""
    _, training = game_of(trained_alike(batch), made_up_pairs(IMAGES, SIZE), DEVICE)
    rng = np.random.default_rng(0)
    torch.cuda.reset_peak_memory_stats()
    with pace.running(training, DEVICE) as run:
        started = time.perf_counter()
        run(training.draw(rng))
        wait(DEVICE)
        ready = time.perf_counter() - started
        rate = batch * steps_per_second(lambda: run(training.draw(rng)), DEVICE, seconds)
    memory = torch.cuda.max_memory_allocated() / 2**30
    return {"batch": batch, **asdict(pace), "images_per_second": rate, "ready_s": ready, "memory_gib": memory}


def kernels(batch: int, pace: Pace, count: int = 12) -> str:
    """Where the time of a step goes."""
    _, training = game_of(trained_alike(batch), made_up_pairs(IMAGES, SIZE), DEVICE)
    rng = np.random.default_rng(0)
    with pace.running(training, DEVICE) as run:
        for _ in range(5):
            run(training.draw(rng))
        with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
            for _ in range(10):
                run(training.draw(rng))
            wait(DEVICE)
    found = [event for event in profiler.key_averages() if event.self_device_time_total > 0]
    found.sort(key=lambda event: -event.self_device_time_total)
    total = sum(event.self_device_time_total for event in found)
    rows = [
        [f"`{event.key[:70]}`", f"{event.count / 10:.0f}", f"{event.self_device_time_total / 10_000:.3f}",
         f"{event.self_device_time_total / total:.0%}"]
        for event in found[:count]
    ]  # fmt: skip
    return table(["kernel", "launches a step", "ms a step", "share"], rows)


def main() -> int:
    """Measure, print and publish."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0, help="per timing")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--fidelity-images", type=int, default=4000)
    given = parser.parse_args()
    if not torch.cuda.is_available():
        print("There is no NVIDIA GPU here that torch can use; nothing was measured.", file=sys.stderr)
        return 1
    peak = matrix_rate(given.seconds)
    rows, figures, best = [], [], {}
    for batch in given.batches:
        plain = plain_rate(batch, given.seconds)
        paces = candidates("cuda")
        paces.append(replace(paces[-1], compiled=True))
        measured = [loop_rate(batch, pace, given.seconds) for pace in paces]
        for found in measured:
            rate = found["images_per_second"]
            share = rate * GIGAFLOP_PER_IMAGE * 1e9 / peak
            name = " + ".join(key for key in asdict(PLAIN) if found[key]).replace("_", " ") or "float32"
            rows.append(
                [f"{batch}, {name}", f"{plain:.1f}", f"{rate:.1f}", f"{rate / plain:.2f}", f"{share:.0%}",
                 f"{found['memory_gib']:.1f}", f"{PAPER_IMAGES / rate / 3600:.2f}", f"{found['ready_s']:.0f}"]
            )  # fmt: skip
            print(*rows[-1], flush=True)
            figures.append({**found, "plain": plain, "share_of_matrix_rate": share})
        best[batch] = max(measured, key=lambda found: found["images_per_second"])
    fastest = max(best.values(), key=lambda found: found["images_per_second"])
    pace_of_one = Pace(**{key: best[given.batches[0]][key] for key in asdict(PLAIN)})
    alike, losses = fidelity(trained_alike(given.batches[0]), SIZE, pace_of_one, given.fidelity_images, DEVICE)
    header = ["batch, pace", "plain, images/s", "images/s", "times plain", "of matrix rate", "GiB"]
    header += ["hours for 1.26 M images", "s to get ready"]
    text = (
        f"bfloat16 matrix products: {peak / 1e12:.0f} TFLOP/s. Goals: {GOALS[1]:.0f} times plain with a batch of 1, "
        f"{GOALS[0]:.0f} times with the best (here {fastest['batch']}).\n\n{table(header, rows)}\n\n{alike}\n\n"
        f"Kernels with a batch of {given.batches[0]}:\n\n{kernels(given.batches[0], pace_of_one)}"
    )
    facts = {"matrix_rate": peak, "rates": figures, "fidelity": losses}
    publish("gpu", text, facts, torch.cuda.get_device_name())
    return 0


if __name__ == "__main__":
    sys.exit(main())
