"""Names of people and visits as salted hashes.

The salt is 32 random bytes that never leave the store: without it nobody can try names and see whether one fits, and
with it the same store gives the same pseudonyms, so that its bundles can be merged person by person.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from refbench.errors import StoreError

SALT = "pseudonyms.salt"
PSEUDONYM = re.compile(r"[0-9a-f]{16}")


class Pseudonyms:
    """The pseudonyms that one salt gives."""

    def __init__(self, salt: bytes) -> None:
        self._salt = salt

    @property
    def naming(self) -> str:
        """Tells whether two bundles have the same pseudonyms, and nothing else of the salt."""
        return self.of("naming")

    def of(self, *parts: str) -> str:
        """16 hexadecimal digits for a name and what it belongs to: HMAC-SHA256 of the parts under the salt."""
        told = b"".join(len(part.encode("utf-8", "surrogatepass")).to_bytes(8) + _bytes(part) for part in parts)
        return hmac.new(self._salt, told, hashlib.sha256).hexdigest()[:16]

    def subjects(self, names: Iterable[str]) -> dict[str, str]:
        """Name to pseudonym of every person."""
        return {name: self.of("subject", name) for name in names}


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def store_pseudonyms(store: Path) -> Pseudonyms:
    """Those of a store; its salt is made the first time, readable by its owner only.

    Raises:
        StoreError: the salt can be neither read nor made, or is damaged.
    """
    path = store / SALT
    try:
        if not path.exists():
            _make(path)
        path.chmod(0o600)
        salt = bytes.fromhex(path.read_text(encoding="ascii"))
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{path}: the salt of the pseudonyms cannot be used ({error}). Mend the rights of the store; if the file "
            "itself is damaged, delete it: the pseudonyms of later bundles will be others."
        ) from error
    if len(salt) != 32:
        raise StoreError(
            f"{path}: the salt of the pseudonyms is cut short. Delete it: later pseudonyms will be others."
        )
    return Pseudonyms(salt)


def _make(path: Path) -> None:
    """Two exports at once agree on one salt: the first file that gets the name stays."""
    temporary = path.with_name(f".{SALT}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as stream:
            stream.write(secrets.token_hex(32))
        with suppress(FileExistsError):
            path.hardlink_to(temporary)
    finally:
        temporary.unlink(missing_ok=True)
