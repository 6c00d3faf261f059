"""What must not be in a bundle, and the last look for it before one is written.

The tables of a bundle hold pseudonyms because they are made so. This search is the second line: it takes every name
that is known of the people, their files and this machine, and looks for it in every byte.
"""

from __future__ import annotations

import csv
import getpass
import json
import os
import platform
import pwd
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refbench.results import Run

IN_BYTES, IN_TEXTS = 5, 3
"""Bytes of a name that is searched for in every byte, and in every text: shorter ones stand anywhere by chance."""

ORDINARY = frozenset({"admin", "anonymous", "debian", "guest", "home", "local", "localhost", "root", "ubuntu", "user"})
"""Names of machines and accounts that tell nobody's."""


@dataclass(frozen=True)
class Secrets:
    """What must not be told.

    Attributes:
        people: names of subjects and visits, and of their files. machine: of this machine, its user, and places on it.
    """

    people: frozenset[str]
    machine: frozenset[str]

    @property
    def telling(self) -> frozenset[str]:
        """Names that are taken out of any text: not those so short or plain that other words are written so."""
        return frozenset(filter(is_telling, self.people | self.machine))


def is_telling(name: str) -> bool:
    """Whether a word is so long, or so unlike others, that it can be looked for: `P01`, not `7` or `HH`."""
    letters, digits = (any(map(kind, name)) for kind in (str.isalpha, str.isdigit))
    return _length(name) >= IN_BYTES or (_length(name) >= IN_TEXTS and letters and digits)


def _length(name: str) -> int:
    return len(name.encode("utf-8", "surrogatepass"))


def secrets_of(run: Run, store: Path, public: Iterable[str]) -> Secrets:
    """Everything known of a run's people and of this machine.

    Args:
        run: its tables, and `split.csv` beside them, which also names who was left out.
        store: its list of data files names them, and their folders.
        public: what a bundle says anyway: labels, keys, what its maker wrote. No such word is a secret, and neither is
            a site, but for one that has the name of a person.
    """
    people = {str(name) for key in ("subject", "session") for name in {*run.subjects[key], *run.scores[key]}}
    split = run.folder / "split.csv"
    if split.exists():
        with split.open(newline="", encoding="utf-8") as stream:
            people |= {row["subject"] for row in csv.DictReader(stream) if row.get("subject")}
    files = [Path(name) for name in _known_files(store)]
    machine = _this_machine() | {str(place) for place in (store, Path.home(), run.folder)}
    machine |= {str(file.parent) for file in files}
    sites = {str(site) for site in run.subjects["site"]}
    known = {word.casefold() for text in public for word in (text, *re.findall(r"\w+", text))}
    known |= {word for text in known for word in text.split("_")} | ORDINARY
    both = known | {site.casefold() for site in sites}
    like_sites = {name for name in people & sites if is_telling(name)}
    people = {name for name in people | {file.name for file in files} if name and name.casefold() not in both}
    return Secrets(
        frozenset(people | like_sites),
        frozenset(name for name in machine if len(name) > 1 and name.casefold() not in both),
    )


def _known_files(store: Path) -> list[str]:
    try:
        return [str(name) for name in json.loads((store / "file_hashes.json").read_text(encoding="utf-8"))]
    except (OSError, ValueError):  # phantoms have no files
        return []


def _this_machine() -> set[str]:
    found = {platform.node(), platform.node().partition(".")[0], Path.home().name}
    with suppress(OSError, KeyError):  # a user without a name, as in some containers
        found.add(getpass.getuser())
    with suppress(KeyError):
        found.add(pwd.getpwuid(os.getuid()).pw_gecos.partition(",")[0])
    return found


@dataclass(frozen=True)
class Found:
    """A secret that stands in a bundle."""

    name: str
    where: str


def search(files: Mapping[str, bytes], texts: Mapping[str, set[str]], secrets: Secrets) -> list[Found]:
    """Look for every secret in every byte, or as a word of every text, or as a whole text, as its length allows.

    A name counts where no letter or digit goes on before or behind it. One that no pseudonym can hold by chance, since
    it has a digit and a letter beyond f, counts anywhere if it is not short.

    Args:
        files: name to content, not compressed.
        texts: name to the separate texts of a file: values of a table, of a JSON.
        secrets: what is looked for.
    """
    found = []
    names = secrets.people | secrets.machine
    for file, content in files.items():
        whole = {text.casefold() for text in texts[file]}
        bytes_, words = content.lower(), "\n".join(whole).encode("utf-8", "surrogatepass")
        for name in names:
            sought = name.casefold().encode("utf-8", "surrogatepass")
            if name in secrets.telling:
                there = _stands(sought, words) or (_length(name) >= IN_BYTES and _stands(sought, bytes_))
            else:
                there = name.casefold() in whole
            found += [Found(name, file)] if there else []
    return sorted(found, key=lambda hit: (hit.where, hit.name))


def _stands(name: bytes, content: bytes) -> bool:
    glued = len(name) >= IN_BYTES and bool(re.search(rb"[0-9]", name)) and bool(re.search(rb"[g-z]", name))
    start = content.find(name)
    while start >= 0:
        ends = content[start - 1 : start] if start else b"", content[start + len(name) : start + len(name) + 1]
        # The digits of a score are no name: 0.123456.
        number = name.isdigit() and ends[0] == b"."
        if glued or not (number or any(end.isalnum() for end in ends)):
            return True
        start = content.find(name, start + 1)
    return False


def texts_of(value: Any) -> Iterable[str]:
    """All texts of a JSON value, keys included."""
    if isinstance(value, Mapping):
        for key, own in value.items():
            yield str(key)
            yield from texts_of(own)
    elif isinstance(value, list | tuple):
        for own in value:
            yield from texts_of(own)
    elif isinstance(value, str):
        yield value
