"""What mkdocs does beside its own work when it builds the site: formulas become MathML, which browsers draw themselves.

In the Markdown they are TeX between dollars, which code hosts show as formulas.
"""

from __future__ import annotations

import re
from html import unescape
from typing import Any

from latex2mathml.converter import convert

FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', flags=re.DOTALL)


def on_page_content(html: str, **_: Any) -> str:
    """Replace the formulas that `pymdownx.arithmatex` marked in the HTML of a page."""
    return FORMULA.sub(_mathml, html)


def _mathml(found: re.Match[str]) -> str:
    return convert(unescape(found[3]), display="inline" if found[1] == "span" else "block")
