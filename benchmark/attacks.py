"""Attacks: an attacker, and what it has learnt from. Who knew the anonymizer, who did not, and who must gain nothing.

By default an attacker is `informed`: it learnt from other people's heads that the very same anonymizer hid. Controls
are attacks as well, which can only succeed by a mistake or a leak; they never rank.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from refbench.attackers.base import Attacker
from refbench.datasets.base import Scan
from refbench.errors import DataError
from refbench.labels import CONTROLS, NOTHING_HIDDEN
from refbench.registry import closest
from refbench.suite import Chosen, Suite

Threat = Literal["informed", "ignorant", "transfer", "composition"]
Control = Literal["", "shuffled", "crossed"]


@dataclass(frozen=True)
class Attack:
    """An attacker of a suite and what it knows.

    Attributes:
        attacker, seed: by number, and of its training.
        learnt_on: number of the anonymizer whose releases it learnt from.
        place: the site or data set whose people alone it learnt from; empty for everybody.
        beside: number of the anonymizer whose release of the same head it is given as well.
        threat: what it stands for. control: what it checks; empty for a real attack.
    """

    attacker: int
    seed: int
    learnt_on: int
    place: str = ""
    beside: int | None = None
    threat: Threat = "informed"
    control: Control = ""

    def label(self, suite: Suite) -> str:
        """What tables call it: the attacker, and what sets it apart from an informed one."""
        name, own = suite.attackers[self.attacker].label, suite.anonymizers
        if self.beside is not None:
            return f"{name} given also {own[self.beside].label}"
        if self.control == "shuffled":
            return f"{name} learnt on wrong pairs"
        if self.threat == "transfer":
            return f"{name} learnt at {self.place}"
        if self.threat == "ignorant" or self.control == "crossed":
            return f"{name} learnt on {own[self.learnt_on].label}"
        return name


@dataclass(frozen=True)
class Attacks:
    """Every attack of a suite.

    Attributes:
        training: scans of the people who train.
    """

    suite: Suite
    training: Sequence[Scan]

    def on(self, anonymizer: int) -> Iterator[Attack]:
        """Attacks on one anonymizer: informed ones, other threats, then controls."""
        file, seeds = self.suite.file, self.suite.file.seeds
        for number in range(len(self.suite.attackers)):
            yield from (Attack(number, seed, anonymizer) for seed in seeds)
        if anonymizer not in self.subjects:
            return
        for number in self._learning:
            for other in self._ignorant(anonymizer):
                yield from (Attack(number, seed, other, threat="ignorant") for seed in seeds)
            for place in self._places:
                yield from (Attack(number, seed, anonymizer, place, threat="transfer") for seed in seeds)
            for other in self._beside(anonymizer):
                yield from (Attack(number, seed, anonymizer, beside=other, threat="composition") for seed in seeds)
        for number in self._learning:
            if file.controls.shuffled and anonymizer == self.subjects[0] and self._plugin(number).needs == "paired":
                yield Attack(number, seeds[0], anonymizer, control="shuffled")
            if file.controls.crossed:
                yield Attack(number, seeds[0], self._number[NOTHING_HIDDEN], control="crossed")

    @cached_property
    def subjects(self) -> tuple[int, ...]:
        """Numbers of the anonymizers that are no controls."""
        return tuple(number for number, one in enumerate(self.suite.anonymizers) if not control_of(one))

    @cached_property
    def _learning(self) -> tuple[int, ...]:
        """Numbers of the attackers that learn, and are no floor."""
        numbers = range(len(self.suite.attackers))
        return tuple(n for n in numbers if not self._plugin(n).floor and self._plugin(n).needs != "nothing")

    @cached_property
    def _number(self) -> Mapping[str, int]:
        return {chosen.label: number for number, chosen in enumerate(self.suite.anonymizers)}

    def _plugin(self, attacker: int) -> Attacker:
        plugin = self.suite.attackers[attacker].plugin
        assert isinstance(plugin, Attacker)
        return plugin

    @cached_property
    def _places(self) -> Sequence[str]:
        """Sites, and data sets where there are several, at which attackers learn that are tested everywhere."""
        asked = self.suite.file.threats.transfer
        there = sorted({place for scan in self.training for place in (scan.site, scan.dataset) if place})
        if isinstance(asked, bool):
            return there if asked else ()
        for place in asked:
            if place not in there:
                raise DataError(f"threats.transfer: nobody who trains is of {place!r}{closest(place, there)}")
        return asked

    def _ignorant(self, anonymizer: int) -> Iterator[int]:
        asked = self.suite.file.threats.ignorant
        for other in self.subjects:
            label = self.suite.anonymizers[other].label
            if other != anonymizer and (asked is True or (asked and label in asked)):
                yield other

    def _beside(self, anonymizer: int) -> Iterator[int]:
        label = self.suite.anonymizers[anonymizer].label
        for pair in self.suite.file.threats.composition:
            if label in pair:
                yield self._number[pair[1 - pair.index(label)]]


def control_of(anonymizer: Chosen) -> str:
    """The control that an anonymizer is, which checks the attackers and hides nobody for real; empty if it is none."""
    return anonymizer.name if anonymizer.name in CONTROLS else ""
