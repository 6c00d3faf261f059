import numpy as np
import pytest
import torch

from refbench.attackers.augmentation import SHIFT, STRETCH, TURN, ZOOM, draw_variants, varied


class Told(np.random.Generator):
    """Gives the numbers it was told in place of random ones: turn, zoom, stretch, and shift along columns and rows."""

    def __init__(self, turn: float = 0, zoom: float = 0, stretch: float = 0, shift: tuple[float, float] = (0, 0)):
        super().__init__(np.random.PCG64(0))
        self.answers = [[turn], [zoom], [stretch], np.array(shift)[:, None]]

    def normal(self, *args: object) -> np.ndarray:  # type: ignore[override]
        return np.array(self.answers.pop(0), float)


def dot(row: int, column: int, size: tuple[int, int] = (9, 15)) -> torch.Tensor:
    """A dark window [1, 1, h, w] with one bright pixel."""
    window = torch.zeros(1, 1, *size)
    window[0, 0, row, column] = 1
    return window


def test_the_identity_variant_changes_nothing() -> None:
    window = torch.rand(2, 3, 8, 12)
    still = draw_variants(Told(), 1, (8, 12)).expand(2, 2, 3)
    torch.testing.assert_close(varied([window], still)[0], window, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("told", "row", "column"),
    [
        # The window is 9 x 15; the dot lies 1 below and 2 to the right of its middle (4, 7).
        (Told(turn=np.pi / 2), 2, 8),
        (Told(turn=-np.pi / 2), 6, 6),
        (Told(turn=np.pi), 3, 5),
        (Told(shift=(2 * 3 / 15, 0)), 5, 6),  # three pixels, of a window that is 2 wide
        (Told(shift=(0, -2 * 1 / 9)), 6, 9),
        (Told(zoom=np.log(0.5)), 6, 11),
        (Told(stretch=2 * np.log(2)), 6, 8),  # half as wide, twice as high
    ],
    ids=["left", "right", "round", "columns", "rows", "larger", "narrower"],
)
def test_a_known_variant_moves_a_known_pixel(told: Told, row: int, column: int) -> None:
    moved = varied([dot(5, 9)], draw_variants(told, 1, (9, 15)))[0][0, 0]
    rows, columns = torch.meshgrid(torch.arange(9.0), torch.arange(15.0), indexing="ij")
    centre = [float((moved * index).sum() / moved.sum()) for index in (rows, columns)]
    assert centre == pytest.approx([row, column], abs=0.01)


def test_everything_of_a_slice_moves_alike_and_slices_each_their_own_way() -> None:
    images = torch.rand(4, 1, 16, 24)
    variants = draw_variants(np.random.default_rng(0), 4, (16, 24))
    seen, start = varied([torch.cat([images, 1 - images, images], dim=1), images], variants)
    assert seen.shape == (4, 3, 16, 24)
    assert start.shape == (4, 1, 16, 24)
    torch.testing.assert_close(seen[:, :1], start)
    torch.testing.assert_close(seen[:, 2:], start)
    torch.testing.assert_close(seen[:, 1:2], 1 - start)
    alone = torch.cat([varied([images[n : n + 1]], variants[n : n + 1])[0] for n in range(4)])
    torch.testing.assert_close(start, alone)
    same = varied([images[:1].expand(4, 1, 16, 24)], variants)[0]
    assert all(not torch.equal(same[0], same[number]) for number in (1, 2, 3))


def test_beyond_the_edge_the_edge_goes_on() -> None:
    window = torch.arange(1.0, 9.0).expand(1, 1, 8, 8) / 8
    moved = varied([window], draw_variants(Told(shift=(2 * 3 / 8, 0)), 1, (8, 8)))[0][0, 0, 0]
    torch.testing.assert_close(moved, torch.tensor([4, 5, 6, 7, 8, 8, 8, 8]) / 8)
    grey = torch.full((3, 2, 16, 16), 0.25)
    torch.testing.assert_close(varied([grey], draw_variants(np.random.default_rng(0), 3, (16, 16)))[0], grey)


def test_variants_are_drawn_on_the_host_from_the_generator_alone() -> None:
    torch.manual_seed(1)
    first = draw_variants(np.random.default_rng(3), 5, (32, 48))
    torch.manual_seed(2)
    assert torch.equal(first, draw_variants(np.random.default_rng(3), 5, (32, 48)))
    assert not torch.equal(first, draw_variants(np.random.default_rng(4), 5, (32, 48)))
    assert (first.shape, first.dtype, first.device.type) == ((5, 2, 3), torch.float32, "cpu")


def test_spreads_are_those_that_are_stated() -> None:
    height, width, count = 32, 96, 20_000
    matrices = draw_variants(np.random.default_rng(0), count, (height, width)).double().numpy()
    matrices[:, 0, 1] *= width / height  # to pixels, in which a turn is one
    matrices[:, 1, 0] *= height / width
    wide, high = (np.hypot(matrices[:, 0, column], matrices[:, 1, column]) for column in (0, 1))
    turn = np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0])
    drawn = [turn, np.log(wide * high) / 2, np.log(wide / high), *(matrices[:, :, 2].T / 2)]
    for values, spread in zip(drawn, [TURN, ZOOM, STRETCH, SHIFT, SHIFT], strict=True):
        assert values.std() == pytest.approx(spread, rel=0.03)
        assert abs(values.mean()) < 5 * spread / np.sqrt(count)
    assert np.abs(np.corrcoef(drawn) - np.eye(5)).max() < 0.04, "each is drawn on its own"
