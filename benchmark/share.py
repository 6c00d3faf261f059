"""Who of the training people an attacker is shown that is to learn from a share of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def nested_order(sites: Mapping[str, str], seed: int) -> list[str]:
    """All people in one random order, in which every site's people are spread evenly.

    The first of it are a share with people from the sites in nearly the proportion of the whole, and a smaller share is
    part of a larger one.

    Args:
        sites: person to site.
        seed: decides the order.
    """
    rng = np.random.default_rng(seed)
    place: dict[str, float] = {}
    for site in sorted(set(sites.values())):
        members = [person for person, own in sites.items() if own == site]
        for rank, index in enumerate(rng.permutation(len(members))):
            # Somewhere within its step, or small sites would always come last.
            place[members[index]] = (rank + rng.random()) / len(members)
    return sorted(place, key=place.__getitem__)
