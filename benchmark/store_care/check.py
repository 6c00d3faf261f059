"""Is every byte of a store what it was when it was written?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from refbench.checksums import Finding, look
from refbench.damage import label_of
from refbench.machine import cores
from refbench.store import Store

MOST_READERS = 8


@dataclass(frozen=True)
class Verdict:
    """What a look at every result found.

    Attributes:
        sound, unverified: how many; unverified are those made before checksums were kept, of which only the key is.
        damaged: what is wrong, by key.
    """

    sound: int
    unverified: int
    damaged: dict[str, str]


def verify_store(store: Store, progress: Callable[[int, int], object]) -> Verdict:
    """Compare every file of every result with its checksum, and every job with its key; set aside what is damaged.

    What is set aside is made again by the next run that needs it. In a store that cannot be written it is only told.

    Args:
        store: where.
        progress: hears (done, total).
    """
    with store.undisturbed():
        keys = sorted(store.keys())
        found: dict[str, Finding] = {}
        readers = min(MOST_READERS, cores())
        with ThreadPoolExecutor(readers) as pool:  # hashing lets other threads run
            for key, finding in zip(keys, pool.map(lambda key: look(store.folder(key), deep=True), keys), strict=True):
                found[key] = finding
                progress(len(found), len(keys))
        damaged = {key: finding.what for key, finding in found.items() if finding.state == "damaged"}
        named = {key: f"{label_of(store, key)}: {what}" for key, what in damaged.items()}
        for key, what in damaged.items() if store.writable else ():
            store.set_aside(key, label_of(store, key), what)
    states = Counter(finding.state for finding in found.values())
    return Verdict(states["sound"], states["unverified"], named)
