"""The shell of a page: one HTML file with its styles and scripts inside, which asks no network for anything.

A policy in the page's head lets the browser run these very scripts and nothing else, by their hashes: whatever a name
or a log may hold, it stays text.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from refbench import __version__

STYLE, SCRIPTS = "style.css", ("theme.js", "table.js")
"""What every page has."""


def render_page(template: str, *, scripts: Sequence[str] = (), deferred: Sequence[str] = (), **content: Any) -> str:
    """Fill a template that extends `base.html`.

    Args:
        template: its name in the folder `templates`.
        scripts: assets that run when the page opens, after those of every page.
        deferred: assets that lie compressed in the page until one of its scripts runs them.
        content: what the template shows; all of it is escaped but `Markup`.
    """
    environment = Environment(
        loader=PackageLoader("refbench.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    run = {name: Markup(asset(name)) for name in (*SCRIPTS, *scripts)}
    later = {name: asset(name) for name in deferred}
    return environment.get_template(template).render(
        policy=_policy([*run.values(), *later.values()]),
        style=Markup(asset(STYLE)),
        scripts=run.values(),
        deferred={name: _compressed(script) for name, script in later.items()},
        version=__version__,
        **content,
    )


def asset(name: str) -> str:
    """The text of a file of the folder `assets`."""
    return (files("refbench.report") / "assets" / name).read_text(encoding="utf-8")


def data_url(kind: str, content: bytes) -> str:
    """A file inside an attribute."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _compressed(script: str) -> str:
    """Gzip in base64, a third of its size."""
    return base64.b64encode(gzip.compress(script.encode(), 9, mtime=0)).decode()


def _policy(scripts: Sequence[str]) -> str:
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{value}'" for value in hashes)
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {allowed}",
            "style-src 'unsafe-inline'",
            "img-src data:",
            "font-src data:",
            "connect-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
