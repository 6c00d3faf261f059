"""What networks share that learn from pairs and paint into windows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from refbench.attackers.augmentation import draw_variants, varied
from refbench.attackers.base import Reconstructor, TrainingContext
from refbench.attackers.inpainting import FILE, read
from refbench.attackers.options import PairedNetwork
from refbench.attackers.resident import Resident, levels
from refbench.attackers.saved_network import SavedNetwork
from refbench.attackers.training import Drawn
from refbench.attackers.windows import View, WholeImages, Windows, from_arrays
from refbench.errors import DataError
from refbench.types import Images, ReleasedSlices, SlicePairs

Paint = Callable[[nn.Module, Tensor, Tensor], Tensor]
"""A network's answer for one release: float32 [k, h, w], from `View.seen` [k, channels, h, w] and `View.start`."""


@dataclass(frozen=True)
class TrainingWindows:
    """The training people's windows, at hand on the device; all 0-1 and in the same order.

    Attributes:
        seen: [n, channels, h, w], what the network is shown.
        start: [n, 1, h, w], what its answer is added to.
        mask: [n, 1, h, w], 1 where the answer counts.
        original: [n, 1, h, w], what it should be.
        lengths: slices of each release, in order.
        augment: whether slices are turned, stretched and shifted at random.
    """

    seen: Resident
    start: Resident
    mask: Resident
    original: Resident
    lengths: tuple[int, ...]
    augment: bool

    def __len__(self) -> int:
        return len(self.original)

    def draw(self, rng: np.random.Generator, count: int) -> Drawn:
        """On the host: which slices `take` takes, with replacement, and how it varies them."""
        drawn = {"chosen": torch.from_numpy(rng.integers(len(self), size=count))}
        if self.augment:
            drawn["variants"] = draw_variants(rng, count, self.original.size)
        return drawn

    def take(self, drawn: Drawn) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """On the device: seen, start, mask and original of the drawn slices, float32, 0-1."""
        windows = [part.take(drawn["chosen"]) for part in (self.seen, self.start, self.mask, self.original)]
        if self.augment:
            windows = varied(windows, drawn["variants"])
            windows[2] = (windows[2] > 0.5).float()
        seen, start, mask, original = windows
        return seen, start, mask, original


def prepare(
    attacker: PairedNetwork, train: SlicePairs, validation: SlicePairs, context: TrainingContext, *, composite: bool
) -> tuple[WholeImages | Windows, TrainingWindows]:
    """Learn how views are made, and put those of the training people on the device.

    Args:
        attacker: whether it is told the changed region, and shown neighbours.
        train: the training people.
        validation: choose what the windows leave open.
        context: seed and device.
        composite: repaint the changed region alone.

    Raises:
        DataError: there are no slices to train on.
    """
    if len(train) == 0:
        raise DataError(f"{type(attacker).__name__}: there are no slices to train on; check the split")
    neighbours = 1 if attacker.context == "2.5d" else 0
    frame: WholeImages | Windows
    if composite:
        frame, transforms = Windows.learn(train, validation, context, region=attacker.region, neighbours=neighbours)
        pairs, size = frame.pairs(train, transforms), frame.size
    else:
        frame = WholeImages(neighbours)
        pairs, size = frame.pairs(train), train.original.shape[1:]
    return frame, _at_hand(pairs, (frame.channels, *size), attacker.augment, context.device)


def validator(
    frame: WholeImages | Windows,
    network: nn.Module,
    paint: Paint,
    validation: SlicePairs,
    context: TrainingContext,
) -> Callable[[], float] | None:
    """Ask the validation people about a network in training; None where there are none."""
    if not len(validation):
        return None
    views = list(frame.views(validation.released))  # aligned once, not at every validation

    @torch.inference_mode()
    def validate() -> float:
        images = validation.released.images.copy()
        for view in views:
            frame.paste(images, view, _answer(network, paint, view, context.device))
        return context.judge(validation, images)

    return validate


@dataclass(frozen=True)
class PairedReconstructor(Reconstructor):
    """Repaints every release, as its network sees it.

    Attributes:
        frame: what is shown, and where the answer goes. saved: the trained network. paint: how it answers.
    """

    frame: WholeImages | Windows
    saved: SavedNetwork
    paint: Paint

    def reconstruct(self, released: ReleasedSlices) -> Images:
        """Repaint the changed region, outside which the released images stay bit by bit, or else everything.

        Raises:
            DataError: images of another size than those of the training; a known region that is missing.
        """
        images = released.images.copy()
        with self.saved.answering() as network:
            for view in self.frame.views(released):
                self.frame.paste(images, view, _answer(network, self.paint, view, self.saved.device))
        return images

    def save(self, folder: Path) -> None:
        """Write the network's files and one `attacker.npz`."""
        self.saved.save(folder)
        np.savez(folder / FILE, **self.frame.arrays())  # type: ignore[arg-type]  # numpy's stub: `allow_pickle`

    @classmethod
    def load(cls, folder: Path, device: str, kind: type[nn.Module], paint: Paint) -> PairedReconstructor:
        """Read what `save` wrote.

        Raises:
            StoreError: a file is missing or damaged; the message names it.
        """
        return cls(from_arrays(read(folder)), SavedNetwork.load(folder, device, kind), paint)


def add_change(network: nn.Module, seen: Tensor, start: Tensor) -> Tensor:
    """The answer of a network that looks at slices one by one and returns how they differ from the start."""
    change: Tensor = network(seen).float()[:, 0]
    return start + change


def squared_inside(answer: Tensor, original: Tensor, mask: Tensor) -> Tensor:
    """Mean squared difference over the pixels of a mask of 0 and 1; all [n, 1, h, w]."""
    return ((answer - original).square() * mask).sum() / mask.sum().clamp(min=1)


def l1_inside(answer: Tensor, original: Tensor, mask: Tensor) -> Tensor:
    """Mean absolute difference over the pixels of a mask of 0 and 1; all [n, 1, h, w]."""
    return ((answer - original).abs() * mask).sum() / mask.sum().clamp(min=1)


def _answer(network: nn.Module, paint: Paint, view: View, device: str) -> Images:
    seen, start = (torch.from_numpy(array).to(device) for array in (view.seen, view.start))
    answer: Images = paint(network, seen, start).cpu().numpy()
    return answer


def _at_hand(
    pairs: Iterable[tuple[View, Images]], shape: tuple[int, ...], augment: bool, device: str
) -> TrainingWindows:
    """What is seen has `shape` (channels, h, w) and, where nobody was changed, no slice."""
    seen, start, mask, original = ([levels(np.zeros((0, *one), np.float32))] for one in (shape, *[shape[1:]] * 3))
    for view, truth in pairs:  # float copies of one release at a time
        for parts, images in ((seen, view.seen), (start, view.start), (mask, view.mask), (original, truth)):
            parts.append(levels(images))
    return TrainingWindows(
        seen=Resident(np.concatenate(seen), device),
        start=Resident(np.concatenate(start), device),
        mask=Resident(np.concatenate(mask), device),
        original=Resident(np.concatenate(original), device),
        lengths=tuple(map(len, original[1:])),
        augment=augment,
    )
