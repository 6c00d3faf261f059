"""Locks that end with the process that holds them, however it ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_held: set[int] = set()


def _let_go() -> None:
    """A fork of the holder, a plug-in's own child say, would hold the lock on after its death."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in _held:
        os.dup2(nothing, descriptor, inheritable=False)
    os.close(nothing)
    _held.clear()


os.register_at_fork(after_in_child=_let_go)


@contextmanager
def holding(path: Path, *, shared: bool = False) -> Iterator[None]:
    """Hold a lock, alone or with others that share it; waits for whoever is in the way. Who leaves last takes it away.

    Raises:
        OSError: the file cannot be made.
    """
    while True:
        with path.open("w") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
            # Whoever held it before may have removed the file: then this lock guards nothing.
            try:
                if os.fstat(stream.fileno()).st_ino != path.stat().st_ino:
                    continue
            except FileNotFoundError:
                continue
            _held.add(stream.fileno())
            try:
                yield
            finally:
                if stream.fileno() in _held:
                    _held.discard(stream.fileno())
                    with suppress(BlockingIOError):  # others hold it, too
                        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        path.unlink(missing_ok=True)
            return


def clear(path: Path) -> None:
    """Remove a lock whose holder was killed; one that is held stays."""
    with suppress(OSError), path.open("r+") as stream:  # it is held, gone, or somebody else's
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(stream.fileno()).st_ino == path.stat().st_ino:  # else this one guards nothing
            path.unlink()


def is_held(path: Path) -> bool:
    """Whether a living process holds this lock now, alone or with others."""
    try:
        # A disk on a network wants to write where it locks; who may only read finds out on a local one.
        with path.open("r+" if os.access(path, os.W_OK) else "r") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # it is gone, or its disk knows no locks
        pass
    return False
