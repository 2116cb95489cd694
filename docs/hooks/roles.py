"""Docstrings as Markdown: roles become code; mkdocstrings renders the numpydoc sections."""

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:class|func|meth|mod|attr|data):`~?([^`]+)`")


class Roles(griffe.Extension):
    """Rewrites each docstring as it is loaded."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.is_module:
            obj.docstring = None  # the pages say what a module is about
        elif obj.docstring:
            obj.docstring.value = _markdown(obj.docstring.value)


def _markdown(text: str) -> str:
    text = _ROLE.sub(lambda match: f"`{match[1].rpartition('.')[2]}`", text)
    text = re.sub(r"(\S)::\n", r"\1:\n", re.sub(r"^::\n", "\n", text, flags=re.MULTILINE))
    return text.replace("  # doctest: +SKIP", "")
