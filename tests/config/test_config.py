"""Every setting is described, and the reference page shows it."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import typer.main

from bayescope.cli.main import app
from bayescope.config import Config
from bayescope.fitting.words import WORDS

HOOK = Path(__file__).resolve().parents[2] / "docs" / "hooks" / "configuration.py"
SECTIONS: dict[str, Any] = {"": Config} | {
    f"{name}.": field.annotation for name, field in Config.model_fields.items() if hasattr(field.annotation, "model_fields")
}
FIELDS = {prefix + key: field for prefix, section in SECTIONS.items() for key, field in section.model_fields.items()}


@pytest.fixture(scope="module")
def page() -> str:
    spec = importlib.util.spec_from_file_location("configuration_hook", HOOK)
    assert spec
    assert spec.loader
    hook = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hook)
    return hook.reference()


@pytest.mark.parametrize("key", FIELDS)
def test_every_setting_has_a_description(key: str) -> None:
    description = FIELDS[key].description
    assert description
    assert description.endswith(".")
    assert "|" not in description  # it stands in a cell of a table


@pytest.mark.parametrize("key", [key for key in FIELDS if f"{key}." not in SECTIONS])
def test_the_page_has_a_row_for_every_setting(page: str, key: str) -> None:
    section, _, name = key.rpartition(".")
    table = page.partition(f"## `[{section}]`" if section else "## Top level")[2].partition("\n## ")[0]
    (row,) = [line for line in table.splitlines() if line.startswith(f"| `{name}` |")]
    assert row.endswith(f"| {FIELDS[key].description} |")
    assert all(f'`"{word}"`' in row for word in WORDS.get(key, ()))


@pytest.mark.parametrize("key", ["training.steps", "evidence.levels", "size", "seed", "device"])
def test_the_help_of_train_describes_the_settings_that_it_overrides(key: str) -> None:
    group: Any = typer.main.get_command(app)
    (option,) = [parameter for parameter in group.commands["train"].params if parameter.name == key.rpartition(".")[2]]
    assert option.help == f"{FIELDS[key].description} Overrides `{key}` of the configuration."
