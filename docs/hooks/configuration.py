"""The reference of the configuration, written from its classes."""

import inspect
import types
from collections.abc import Iterable
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from bayescope.config import Config
from bayescope.fitting.words import WORDS

PLACE = "{{ configuration }}"
_BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put every section where a page says so."""
    return markdown.replace(PLACE, reference()) if PLACE in markdown else markdown


def reference() -> str:
    """The top level, then each section: a table of its keys."""
    sections = {name: field.annotation for name, field in Config.model_fields.items() if _is_section(field.annotation)}
    parts = [_table("## Top level", Config, "", leave_out=set(sections))]
    parts += [_table(f"## `[{name}]`", section, f"{name}.", set()) for name, section in sections.items()]
    return "\n\n".join(parts)


def _is_section(annotation: Any) -> bool:
    return inspect.isclass(annotation) and issubclass(annotation, BaseModel)


def _table(title: str, section: Any, prefix: str, leave_out: set[str]) -> str:
    about = (inspect.getdoc(section) or "").replace("``", "`")
    rows = [
        f"| `{key}` | {_default(field.default)} | {_values(prefix + key, field)} | {field.description} |"
        for key, field in section.model_fields.items()
        if key not in leave_out
    ]
    head = ["| key | default | values | meaning |", "| --- | --- | --- | --- |"]
    return "\n".join([title, "", about, "", *head, *rows])


def _default(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return f"`{list(value)}`"
    return f'`"{value}"`' if isinstance(value, str) else f"`{value}`"


def _values(key: str, field: Any) -> str:
    return _listed(WORDS[key]) if key in WORDS else _kind(field.annotation) + _bounds(field.metadata)


def _kind(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return _listed(arguments)
    if origin in (Union, types.UnionType):
        return " or ".join("left out" if kind is types.NoneType else _kind(kind) for kind in arguments)
    if origin is tuple:
        return "list of " + _kind(arguments[0])
    if origin is dict:
        return "tables by name"
    return {int: "whole number", float: "number", str: "text", bool: "true, false"}[annotation]


def _listed(words: Iterable[str]) -> str:
    return ", ".join(f'`"{word}"`' for word in words)


def _bounds(metadata: list[Any]) -> str:
    found = [f" {sign} {getattr(item, name)}" for item in metadata for name, sign in _BOUNDS.items() if hasattr(item, name)]
    return ",".join(found)
