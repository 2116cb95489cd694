"""Formulas as MathML at build time: they show in any browser, with nothing fetched and no script run."""

import html
import logging
import re
from typing import Any

from latex2mathml.converter import convert

log = logging.getLogger("mkdocs.hooks.mathml")
_FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', flags=re.DOTALL)


_LOG = re.compile(r"\\log(?![a-z_])\s*")
"""Browsers set no space between a function and what it is of."""


def on_page_content(content: str, *, page: Any, **_: Any) -> str:
    """Replace the formulas that pymdownx.arithmatex has marked in a page."""

    def formula(match: re.Match[str]) -> str:
        latex = html.unescape(match[2]).strip()
        mathml = convert(_LOG.sub(r"\\log\\,", latex), display="block" if match[1] == "div" else "inline")
        if "\\" in mathml:
            log.warning("%s: not understood in a formula: %s", page.file.src_uri, latex)
        return mathml

    return _FORMULA.sub(formula, content)
