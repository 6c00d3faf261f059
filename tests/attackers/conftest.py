"""Toy heads in different poses, and one thread."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from refbench.testing_cohort import toy_cohort, toy_head, toy_pose
from refbench.types import Affine, Images, SlicePairs

Cohort = Callable[..., SlicePairs]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Networks as small as these only wait for each other's threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def cohort() -> Cohort:
    """Make people: `cohort("removal", people=8, seed=0)`."""
    return toy_cohort


@pytest.fixture(scope="session")
def head_in_pose() -> Callable[[Affine], Images]:
    """The average toy head in a pose."""
    return lambda pose: toy_head(pose)[0]


@pytest.fixture(scope="session")
def random_pose() -> Callable[[np.random.Generator], Affine]:
    return toy_pose
