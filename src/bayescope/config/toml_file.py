"""Sections read from TOML: what is wrong in a file is told by key, with what was found and what was expected."""

import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from bayescope.config.section import Section
from bayescope.errors import ConfigError

S = TypeVar("S", bound=Section)


def parse_section(kind: type[S], values: dict[str, Any]) -> S:
    """Validate a nested dictionary.  Raises ConfigError naming each bad key."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(item) for item in error.errors())) from None


def read_section(kind: type[S], path: Path) -> S:
    """Read a TOML file.  Raises ConfigError if it cannot be read, parsed or validated."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); expected a TOML configuration file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML ({error}); correct the file and run again") from None
    try:
        return parse_section(kind, values)
    except ConfigError as error:
        raise ConfigError(f"{path}:\n{error}") from None


def _explain(item: Any) -> str:
    key = ".".join(str(part) for part in item["loc"]) or "configuration"
    if item["type"] == "extra_forbidden":
        return f"{key}: unknown key; expected one of the keys of the documented configuration. Remove or correct it"
    message = item["msg"].removeprefix("Value error, ")
    return f"{key}: found {item['input']!r}; expected: {message}"
