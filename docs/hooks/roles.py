"""Docstrings are written for the terminal; here those of classes and functions become Markdown."""

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:class|func|meth|mod|attr|data):`~?([^`]+)`")
_SECTION = re.compile(r"^(\w+)\n-+\n(.*?)(?=^\w+\n-+\n|\Z)", flags=re.DOTALL | re.MULTILINE)
_ITEM = re.compile(r"^(\w[\w, ]*)(?:\n((?:    .*(?:\n|$))*)|$)", flags=re.MULTILINE)


class Roles(griffe.Extension):
    """Rewrites each docstring as it is loaded."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.is_module:
            obj.docstring = None  # the pages say what a module is about
        elif obj.docstring:
            obj.docstring.value = _markdown(obj.docstring.value)


def _markdown(text: str) -> str:
    text = _ROLE.sub(lambda match: f"`{match[1].rpartition('.')[2]}`", text)
    text = _SECTION.sub(lambda match: f"**{match[1]}**\n\n{_ITEM.sub(_item, match[2])}\n", text)
    text = re.sub(r"(\S)::\n", r"\1:\n", re.sub(r"^::\n", "\n", text, flags=re.MULTILINE))
    return re.sub(r"^>>>", "    >>>", text, flags=re.MULTILINE).replace("  # doctest: +SKIP", "")


def _item(match: re.Match[str]) -> str:
    names = ", ".join(f"`{name.strip()}`" for name in match[1].split(","))
    about = " ".join((match[2] or "").split())
    return f"- {names}: {about}\n" if about else f"- {names}\n"
