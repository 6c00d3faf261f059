"""Who trains, who validates, who tests: by subject, never by scan or slice."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from refbench.errors import DataError
from refbench.plugin import param

Part = Literal["train", "validation", "test"]


class SplitOptions(BaseModel):
    """How subjects are divided.

    `random` is seeded and stratified by site. `paper-guys` (Guys only) and `paper-all` are the founding paper's own:
    the last 22 or 81 subjects in name order are tested; validation people are drawn from the others.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    method: Literal["random", "paper-guys", "paper-all"] = param("random", "how test subjects are found")
    test: float = param(0.2, "subjects to test: a share below 1, or a number of people", gt=0)
    validation: float = param(0.1, "subjects to validate: a share below 1, or a number of people", ge=0)
    train: int | None = param(None, "at most so many subjects train; all that are left if not given", gt=0)
    seed: int = param(0, "decides the draw", ge=0)


PAPER_TEST_SUBJECTS = {"paper-guys": 22, "paper-all": 81}


def split_subjects(sites: dict[str, str], options: SplitOptions) -> dict[str, Part]:
    """Give every subject a part.

    Args:
        sites: subject to site, in the dataset's order.
        options: how.

    Returns:
        Subject to part. With `paper-guys`, subjects of other sites are left out; so are those beyond `train`.

    Raises:
        DataError: nobody is left to train or to test.
    """
    rng = np.random.default_rng(options.seed)
    if options.method == "paper-guys":
        sites = {subject: site for subject, site in sites.items() if site == "Guys"}
    if options.method == "random":
        test = _draw(sites, _count(options.test, len(sites)), rng)
    else:
        test = sorted(sites)[-PAPER_TEST_SUBJECTS[options.method] :]
    rest = {subject: site for subject, site in sites.items() if subject not in set(test)}
    validation = _draw(rest, _count(options.validation, len(sites)), rng)
    train = [subject for subject in rest if subject not in set(validation)]
    if options.train is not None and len(train) > options.train:
        train = _draw({subject: sites[subject] for subject in train}, options.train, rng, spare=0)
    if not train or not test:
        raise DataError(
            f"split {options.method}: {len(sites)} subject(s) leave {len(train)} to train, {len(validation)} to "
            f"validate and {len(test)} to test; give the dataset more subjects, or lower split.test or split.validation"
        )
    parts: dict[str, Part] = {}
    for subject in sites:
        for part, members in (("train", train), ("validation", validation), ("test", test)):
            if subject in members:
                parts[subject] = part  # type: ignore[assignment]
    return parts


def lonely_sites(sites: dict[str, str]) -> list[str]:
    """Sites with a single subject: nobody there can be tested by an attacker that knows the site."""
    members = list(sites.values())
    return sorted(site for site in set(members) if members.count(site) == 1)


def _count(asked: float, total: int) -> int:
    if asked >= 1:
        return round(asked)
    return max(1, round(asked * total)) if asked > 0 else 0


def _draw(sites: dict[str, str], count: int, rng: np.random.Generator, spare: int = 1) -> list[str]:
    """Draw `count` subjects so that every site stands for itself and gives its share, and keeps at least `spare`."""
    members = {site: [s for s, own in sites.items() if own == site] for site in sorted(set(sites.values()))}
    open_places = {site: len(people) - spare for site, people in members.items()}
    count = min(count, sum(open_places.values()))
    shares = {site: count * len(people) / len(sites) for site, people in members.items()}
    given = dict.fromkeys(members, 0)
    for _ in range(count):
        able = [site for site in members if given[site] < open_places[site]]
        # First a site that nobody stands for yet, then the one that is furthest below its share.
        neediest = max(able, key=lambda site: (given[site] == 0, shares[site] - given[site]))
        given[neediest] += 1
    drawn: list[str] = []
    for site, people in members.items():
        drawn += [people[i] for i in sorted(rng.permutation(len(people))[: given[site]])]
    return sorted(drawn, key=list(sites).index)
