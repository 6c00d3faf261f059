"""Random draws in which every site gives its share."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def draw(sites: Mapping[str, str], count: int, rng: np.random.Generator, spare: int = 1) -> list[str]:
    """Draw subjects so that every site stands for itself and gives its share.

    Args:
        sites: subject to site.
        count: how many, or as many as there are.
        rng: decides who.
        spare: how many every site keeps at least.

    Returns:
        Subjects in the order of `sites`.
    """
    members = _members(sites)
    open_places = {site: len(people) - spare for site, people in members.items()}
    count = min(count, sum(open_places.values()))
    shares = {site: count * len(people) / len(sites) for site, people in members.items()}
    given = dict.fromkeys(members, 0)
    for _ in range(count):
        able = [site for site in members if given[site] < open_places[site]]
        # First a site that nobody stands for yet, then the one that is furthest below its share.
        neediest = max(able, key=lambda site: (given[site] == 0, shares[site] - given[site]))
        given[neediest] += 1
    drawn = {people[i] for site, people in members.items() for i in sorted(rng.permutation(len(people))[: given[site]])}
    return [subject for subject in sites if subject in drawn]


def deal(sites: Mapping[str, str], folds: int, rng: np.random.Generator) -> list[list[str]]:
    """Deal all subjects out like cards, site after site.

    Returns:
        Disjoint folds of everybody: any two differ by at most one person, and by at most one from each site.
    """
    shuffled = [people[i] for people in _members(sites).values() for i in rng.permutation(len(people))]
    return [shuffled[fold::folds] for fold in range(folds)]


def _members(sites: Mapping[str, str]) -> dict[str, list[str]]:
    """Sites by name, each with its subjects in their order."""
    return {site: [s for s, own in sites.items() if own == site] for site in sorted(set(sites.values()))}
