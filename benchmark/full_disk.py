"""Telling a disk that takes no more from other failures: no job is to blame for it, and the next run goes on."""

from __future__ import annotations

import errno
import os
import re

_SIGNS = [re.escape(os.strerror(code)) for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)]
_SIGNS.append(r"\d+ requested and \d+ written")  # all that numpy says when it writes an array
_FULL = re.compile("|".join(_SIGNS))


def says_full(error: str) -> bool:
    """Whether the text of an error is that of a disk, or a quota, that is used up.

    The text, since few libraries hand on the number of the system's error.
    """
    return _FULL.search(error) is not None
