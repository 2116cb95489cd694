"""The reference of the configuration, written from its classes."""

import inspect
import types
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, Tag
from pydantic_core import PydanticUndefined

from bayescope.config import Config
from bayescope.fitting.words import WORDS
from bayescope.node.config import NodeConfig

PLACES: dict[str, tuple[type[BaseModel], int]] = {
    "{{ configuration }}": (Config, 2),
    "{{ node configuration }}": (NodeConfig, 3),
}
"""What is written where a page says so, and the level of its headings."""
_BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put every section where a page says so."""
    for place, (kind, level) in PLACES.items():
        if place in markdown:
            markdown = markdown.replace(place, reference(kind, level))
    return markdown


def reference(kind: type[BaseModel] = Config, level: int = 2) -> str:
    """The top level, then each section: a table of its keys."""
    return "\n\n".join(_tables(f"{'#' * level} ", "Top level", kind, ""))


def _tables(mark: str, title: str, kind: type[BaseModel], prefix: str) -> Iterator[str]:
    """The table of a section, and those of the sections in it."""
    inner = {key: _sections(field.annotation) for key, field in kind.model_fields.items()}
    yield _table(f"{mark}{title}", kind, prefix, leave_out={key for key, sections in inner.items() if sections})
    for key, sections in inner.items():
        is_list = get_origin(kind.model_fields[key].annotation) is tuple
        for word, section in sections:
            name = f"`[[{prefix}{key}]]`" if is_list else f"`[{prefix}{key}]`"
            yield from _tables(mark, f"{name}{word and f' {word}'}", section, f"{prefix}{key}.")


def _sections(annotation: Any) -> list[tuple[str, type[BaseModel]]]:
    """The sections that a key may hold, each with the word that tells it from the others."""
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return [("", annotation)]
    arguments = get_args(annotation)
    if get_origin(annotation) is dict:
        return []
    if get_origin(annotation) is Annotated:
        words = [item.tag for item in arguments[1:] if isinstance(item, Tag)]
        return [("".join(words) or word, section) for word, section in _sections(arguments[0])]
    return [found for argument in arguments for found in _sections(argument)]


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
    if value is PydanticUndefined:
        return "required"
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
        return "tables by name" if _sections(arguments[1]) else f"table of {_kind(arguments[1])}"
    if origin is Annotated:
        return _kind(arguments[0])
    return {int: "whole number", float: "number", str: "text", bool: "true, false", Path: "path"}[annotation]


def _listed(words: Iterable[str]) -> str:
    return ", ".join(f'`"{word}"`' for word in words)


def _bounds(metadata: list[Any]) -> str:
    found = [f" {sign} {getattr(item, name)}" for item in metadata for name, sign in _BOUNDS.items() if hasattr(item, name)]
    return ",".join(found)
