"""What the names and labels of plug-ins say."""

from __future__ import annotations

import re

NOTHING_HIDDEN = "identity"
"""The anonymizer whose releases are the originals."""

NOBODY_LEFT = "constant"
"""The anonymizer whose releases are all the same."""

CONTROLS = (NOTHING_HIDDEN, NOBODY_LEFT)
"""Anonymizers that check attackers."""


def plugin_name(label: str) -> str:
    """The name a plug-in is registered by: `blur` of `blur(strength_mm=4)`; empty of an empty label."""
    return re.split(r"[ (]", label, maxsplit=1)[0]


def knowledge(label: str) -> str:
    """What sets an attack apart from an informed one (`refbench.attacks`): ` learnt on identity`; empty of such."""
    found = re.search(r" (learnt on|learnt at|given also) ", label)
    return label[found.start() :] if found else ""
