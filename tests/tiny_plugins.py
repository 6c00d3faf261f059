"""Plug-ins for tests of the machine: heads of a few hundred voxels, anonymizers and attackers that misbehave on order.

Used as a plug-in file of a suite, as any user's own file would be. What has run is counted in the folder named by
TINY_LOG, one file per call.
"""

from __future__ import annotations

import json
import os
import signal
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from refbench.anonymizers.base import Anonymizer
from refbench.attackers.base import Attacker, Reconstructor, TrainingContext
from refbench.datasets.base import Dataset, Scan
from refbench.errors import DataError, InvalidOutput
from refbench.plugin import param
from refbench.types import AnonymizedHead, Head, Images, ReleasedSlices, SlicePairs


def log(what: str) -> None:
    if "TINY_LOG" in os.environ:
        (Path(os.environ["TINY_LOG"]) / f"{what}-{uuid.uuid4().hex}").touch()


class TinyHeads(Dataset):
    """Ellipsoids with a nose and a texture of their own."""

    real_people: ClassVar[bool] = False

    people: int = param(8, "how many")
    first: int = param(0, "number of the first of them")
    sites: tuple[str, ...] = param(("A", "B"), "scanners, in turn")
    sessions: int = param(1, "visits of each")
    broken: tuple[int, ...] = param((), "people whose file cannot be read")

    def label_names(self) -> frozenset[str]:
        return frozenset({"brain", "face"})

    def scans(self) -> list[Scan]:
        return [
            Scan(
                f"T{number:02}",
                self.sites[number % len(self.sites)],
                session=str(session) if session else "",
                recipe={"person": number, "session": session, "broken": number in self.broken},
            )
            for number in range(self.first, self.first + self.people)
            for session in range(self.sessions)
        ]

    def load(self, scan: Scan) -> Head:
        log("load")
        if scan.recipe["broken"]:
            raise DataError(f"head_{scan.recipe['person']}.nii.gz is cut short; fetch it again")
        rng = np.random.default_rng(scan.recipe["person"])
        x, y, z = np.meshgrid(*(np.linspace(-1, 1, 24),) * 3, indexing="ij")
        radius = np.sqrt((x / 0.75) ** 2 + (y / 0.8) ** 2 + (z / 0.9) ** 2)
        nose = np.sqrt((x / 0.15) ** 2 + ((y - 0.8) / 0.2) ** 2 + ((z + rng.uniform(0, 0.2)) / 0.2) ** 2)
        head = (radius < 1) | (nose < 1)
        voxels = np.where(head, 100 + 20 * rng.standard_normal(head.shape), rng.uniform(0, 2, head.shape))
        face = head & (y > 0.4) & (z < 0.3)
        return Head(
            voxels.astype(np.float32),
            np.diag([4.0, 4.0, 4.0, 1.0]),
            labels={"face": face, "brain": (radius < 0.6) & (y < -0.1)},
        )


class Smear(Anonymizer):
    """Box blur along y in front of the middle; `fault` makes it misbehave for one person in `every`."""

    reach: int = param(2, "half width", unit="voxels", ge=0)
    fault: Literal["none", "raise", "shape", "nan", "type", "affine", "segfault", "exit", "hang", "claim"] = param(
        "none", "what goes wrong"
    )
    every: int = param(1, "how often: 1 = always", ge=1)

    def anonymize(self, head: Head, rng: np.random.Generator) -> Head | AnonymizedHead:
        log("anonymize")
        voxels = np.array(head.voxels)
        if self.fault != "none" and int(voxels.sum()) % self.every == 0:
            return self._misbehave(head, voxels)
        front = slice(voxels.shape[1] // 2, None)
        rolled = [np.roll(head.voxels, step, axis=1) for step in range(-self.reach, self.reach + 1)]
        voxels[:, front] = np.mean(rolled, axis=0)[:, front]
        return head.with_voxels(voxels)

    def _misbehave(self, head: Head, voxels: np.ndarray) -> Head | AnonymizedHead:
        match self.fault:
            case "raise":
                raise ValueError("no nose in sight")
            case "shape":
                return Head(voxels[:-1], head.affine)
            case "nan":
                voxels[0, 0, 0] = np.nan
            case "type":
                return voxels  # type: ignore[return-value]
            case "affine":
                return Head(voxels, head.affine * 2)
            case "segfault":
                os.kill(os.getpid(), signal.SIGSEGV)
            case "exit":
                os._exit(7)
            case "hang":
                time.sleep(600)
            case "claim":
                return AnonymizedHead(head, np.ones(voxels.shape, dtype=bool), "face left", "the nose is still there")
        return head.with_voxels(voxels)


class Keep(Reconstructor):
    def __init__(self, offset: float, curve: Sequence[tuple[int, float]] = ()) -> None:
        self.offset = offset
        self.curve = curve

    def reconstruct(self, released: ReleasedSlices) -> Images:
        return (released.images + np.float32(self.offset)).clip(0, 1)

    def save(self, folder: Path) -> None:
        np.savez(folder / "model.npz", offset=self.offset)
        if self.curve:
            told = {"curve": self.curve, "best": 2, "steps": 2, "pace": {"bfloat16": False, "compiled": True}}
            (folder / "training.json").write_text(json.dumps(told))


class Offset(Attacker):
    """Adds the mean difference of the training pairs, in two steps; `fault` makes it misbehave."""

    pause: float = param(0.0, "how long a training takes at least", unit="s")
    fault: Literal["none", "raise", "segfault", "memory", "diverge", "shape", "nan"] = param("none", "what goes wrong")

    def fit(self, train: SlicePairs, validation: SlicePairs, context: TrainingContext) -> Reconstructor:
        log("fit")
        time.sleep(self.pause)
        context.report(1, 1, {"loss": 0.0})
        match self.fault:
            case "raise":
                raise RuntimeError("diverged")
            case "segfault":
                os.kill(os.getpid(), signal.SIGSEGV)
            case "memory":
                np.ones(200_000_000_000)
            case "diverge":
                (context.folder / "checkpoint").write_text("the last good one")
                raise InvalidOutput("the training diverged: its loss is nan at step 5 of 9")
        offset = float((train.original - train.released.images).mean())
        steps = [(step, Keep(offset * step / 2).reconstruct(validation.released)) for step in (1, 2)]
        return Keep(offset, [(step, context.judge(validation, images)) for step, images in steps])

    def load(self, folder: Path, device: str = "cpu") -> Reconstructor:
        with np.load(folder / "model.npz") as stored:
            loaded = Keep(float(stored["offset"]))
        if self.fault == "shape":
            loaded.reconstruct = lambda released: released.images[:-1]  # type: ignore[method-assign]
        if self.fault == "nan":
            loaded.reconstruct = lambda released: released.images * np.float32("nan")  # type: ignore[method-assign]
        return loaded


class Patient(Offset):
    """Counts its steps in a checkpoint; taken up again, it hurries on from there."""

    steps: int = param(100, "how many", ge=1)
    step_seconds: float = param(0.4, "how long each takes at first", unit="s")

    def fit(self, train: SlicePairs, validation: SlicePairs, context: TrainingContext) -> Reconstructor:
        log("turn")
        checkpoint = context.folder / "checkpoint"
        done = int(checkpoint.read_text()) if checkpoint.exists() else 0
        for step in range(done + 1, self.steps + 1):
            time.sleep(0 if done else self.step_seconds)
            log("step")
            beside = checkpoint.with_suffix(".new")
            beside.write_text(str(step))
            beside.replace(checkpoint)
            context.report(step, self.steps, {"loss": 1 / step})
        return super().fit(train, validation, context)


class Walk(Offset):
    """Walks at random: where it ends hangs on every step, and its checkpoint holds where it is."""

    steps: int = param(30, "how many", ge=1)
    step_seconds: float = param(0.02, "how long each takes", unit="s")
    ballast: int = param(0, "what every step adds to the checkpoint", unit="bytes")

    def fit(self, train: SlicePairs, validation: SlicePairs, context: TrainingContext) -> Reconstructor:
        log("turn")
        checkpoint = context.folder / "checkpoint"
        done, place = json.loads(checkpoint.read_text()) if checkpoint.exists() else (0, 0.0)
        for step in range(done + 1, self.steps + 1):
            time.sleep(self.step_seconds)
            place = 0.9 * place + np.random.default_rng([context.seed, step]).normal()
            beside = checkpoint.with_suffix(".new")
            beside.write_text(json.dumps([step, place]) + " " * self.ballast * step)
            beside.replace(checkpoint)
            context.report(step, self.steps, {"loss": 1 / step})
        return Keep(place / 100)


class Deep(Patient):
    """The same, on a graphics card where there is one."""

    gpu: ClassVar[bool] = True
