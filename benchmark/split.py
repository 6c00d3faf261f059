"""Who trains, who validates, who tests: by subject, never by scan or slice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from refbench.errors import DataError
from refbench.fingerprint import digest
from refbench.registry import closest
from refbench.split_draw import deal, draw
from refbench.split_options import Part, SplitOptions
from refbench.split_table import read_parts

PAPER_TEST_SUBJECTS = {"paper-guys": 22, "paper-all": 81}
REMEDIES = {
    "random": "give the dataset more subjects, or lower split.test or split.validation",
    "k-fold": "give the dataset more subjects, or lower split.folds or split.validation",
    "leave-one-site-out": "give the dataset more subjects of other sites, or lower split.validation",
    "csv": "correct the column `part` of the table",
}


@dataclass(frozen=True)
class Split:
    """A cohort divided.

    No job's key holds the digest, since keys hold what the split decides: a training's, the slices of those who train
    and validate; an average head's, the heads of those who train; a reconstruction's and a score's, the slices of
    those who are tested. So two splits share every job that they have in common.

    Attributes:
        sites: everybody of the dataset with their site, in its order.
        parts: those who take part, in the same order: a person has one part.
        left_out: all others, and why.
    """

    sites: Mapping[str, str]
    parts: Mapping[str, Part]
    left_out: Mapping[str, str]

    @cached_property
    def digest(self) -> str:
        """Digest of who is in which part, and at which site; the dataset's order does not matter."""
        return digest({subject: [self.sites[subject], part] for subject, part in self.parts.items()})

    def people(self) -> dict[str, int]:
        """How many are in each part, and left out."""
        count = Counter(self.parts.values())
        return {part: count[part] for part in ("train", "validation", "test")} | {"left out": len(self.left_out)}

    def notes(self) -> list[str]:
        """What the reader of a table should know. No names: tables are shared."""
        said = [
            f"{count} of {len(self.sites)} subjects left out: {why}"
            for why, count in Counter(self.left_out.values()).items()
        ]
        present: dict[str, set[Part]] = {}
        for subject, part in self.parts.items():
            present.setdefault(self.sites[subject], set()).add(part)
        tested = {site for site, parts in present.items() if "test" in parts}
        size = Counter(self.sites[subject] for subject in self.parts)
        for site in sorted(present):
            if site in tested and "train" not in present[site]:
                said.append(f"site {site} is tested, and nobody there trains")
            elif site not in tested and size[site] == 1:
                said.append(f"site {site} has one subject, who is not tested: no figures for {site}")
        return said


def split_subjects(sites: Mapping[str, str], options: SplitOptions, table: Path | None = None) -> Split:
    """Give every subject a part.

    Args:
        sites: subject to site, in the dataset's order.
        options: how.
        table: where `options.csv` lies; as it is written if not given.

    Raises:
        DataError: nobody is left to train or to test, no such site, or an unusable table.
    """
    if options.method == "csv":
        table = table or options.csv
        assert table is not None
        parts = read_parts(table, sites)
        left_out = {subject: f"no part in {table.name}" for subject in sites if subject not in parts}
    else:
        parts, left_out = _drawn(sites, options)
    split = Split(sites, {subject: parts[subject] for subject in sites if subject in parts}, left_out)
    people = split.people()
    if not people["train"] or not people["test"]:
        remedy = REMEDIES.get(options.method, "give the dataset more subjects, or lower split.validation")
        source = f"{options.method} ({table.name})" if table else options.method
        raise DataError(
            f"split {source}: {len(parts)} subject(s) leave {people['train']} to train, {people['validation']} to "
            f"validate and {people['test']} to test; {remedy}"
        )
    return split


def _drawn(sites: Mapping[str, str], options: SplitOptions) -> tuple[dict[str, Part], dict[str, str]]:
    """Parts, and who is left out and why."""
    rng = np.random.default_rng(options.seed)
    pool, left_out = dict(sites), dict[str, str]()
    if options.method == "paper-guys":
        pool = {subject: site for subject, site in sites.items() if site == "Guys"}
        left_out = {subject: "not of the site Guys" for subject in sites if subject not in pool}
    test = _tested(pool, options, rng)
    rest = {subject: site for subject, site in pool.items() if subject not in test}
    validation = set(draw(rest, _count(options.validation, len(pool)), rng))
    train = {subject: site for subject, site in rest.items() if subject not in validation}
    if options.train is not None and len(train) > options.train:
        kept = set(draw(train, options.train, rng, spare=0))
        left_out |= {subject: f"{options.train} others train" for subject in train if subject not in kept}
        train = {subject: site for subject, site in train.items() if subject in kept}
    members: dict[Part, Sequence[str]] = {"train": [*train], "validation": [*validation], "test": [*test]}
    return {subject: part for part, people in members.items() for subject in people}, left_out


def _tested(pool: Mapping[str, str], options: SplitOptions, rng: np.random.Generator) -> frozenset[str]:
    if options.method == "random":
        return frozenset(draw(pool, _count(options.test, len(pool)), rng))
    if options.method == "k-fold":
        return frozenset(deal(pool, options.folds, rng)[options.fold])
    if options.method == "leave-one-site-out":
        there = set(pool.values())
        if options.site not in there:
            raise DataError(f"split.site: no subject is at a site {options.site!r}{closest(str(options.site), there)}")
        return frozenset(subject for subject, site in pool.items() if site == options.site)
    # The names of IXI's files begin with their subject, so both have one order.
    return frozenset(sorted(pool)[-PAPER_TEST_SUBJECTS[options.method] :])


def _count(asked: float, total: int) -> int:
    if asked >= 1:
        return round(asked)
    return max(1, round(asked * total)) if asked > 0 else 0
