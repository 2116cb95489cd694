"""Notebooks as pages of the site: links lead to its pages, and nothing is fetched from elsewhere."""

import re
from typing import Any

_SCRIPT = re.compile(r"<script\b.*?</script>", flags=re.DOTALL)
"""Of nbconvert, for diagrams and formulas, which it gets from other servers."""
_LINK = re.compile(r'(href="(?!https?:)[^"#]*)\.(?:md|ipynb)([#"])')


def on_page_content(html: str, page: Any, **_: Any) -> str:
    """Take scripts away, and let links to source files lead to what is made of them."""
    if not page.file.src_uri.endswith(".ipynb"):
        return html
    return _LINK.sub(r"\1.html\2", _SCRIPT.sub("", html))
