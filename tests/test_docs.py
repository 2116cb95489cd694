"""README and documentation keep their word: snippets run, numbers are right, commands exist, links lead somewhere."""

import doctest
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer.main

from bayescope.cli.main import app
from bayescope.config import Config
from bayescope.config.toml_file import parse_section
from bayescope.data.dataset import Dataset
from bayescope.node.config import NodeConfig
from conftest import stripes, write_npz

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_RUNNABLE = re.compile(r"<!-- runnable -->\n```py(?:thon|con)\n(.*?)```", flags=re.DOTALL)
_COMMAND = re.compile(r"^bayescope .*$", flags=re.MULTILINE)
_TINY = "widths=(8, 8), batch_size=8, levels=3, noises=2, validation_fraction=0.2"


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def with_(pattern: re.Pattern[str] | str) -> list[Path]:
    return [path for path in PAGES if re.search(pattern, path.read_text())]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


@pytest.mark.parametrize("path", with_(_RUNNABLE), ids=name_of)
def test_snippets_run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In order, in one namespace, on a tiny data set and with a few steps of training."""
    monkeypatch.chdir(tmp_path)
    write_npz(Path("breastmnist.npz"), Dataset(stripes(120, 1), stripes(60, 2), stripes(20, 3), source="stripes"))
    names: dict[str, Any] = {}
    for number, code in enumerate(_RUNNABLE.findall(path.read_text())):
        where = f"{name_of(path)}, snippet {number + 1}"
        if code.startswith(">>>"):
            test = doctest.DocTestParser().get_doctest(code, names, where, None, 0)
            told: list[str] = []
            failures = doctest.DocTestRunner(verbose=False).run(test, out=told.append, clear_globs=False).failed
            assert not failures, "".join(told)
            names = test.globs
        else:
            exec(compile(re.sub(r"steps=\d+", f"steps=6, {_TINY}", code), where, "exec"), names)


def test_the_snippets_that_matter_are_marked() -> None:
    assert {"README.md", "docs/quick-start.md", "docs/likelihood-ratios.md"} <= set(map(name_of, with_(_RUNNABLE)))


@pytest.mark.parametrize("path", with_(r"```sh\n"), ids=name_of)
def test_commands_parse(path: Path) -> None:
    for block in blocks(path.read_text(), "sh"):
        for line in _COMMAND.findall(block.replace("\\\n", " ")):
            _parse(line)


@pytest.mark.parametrize("path", with_("`bayescope "), ids=name_of)
def test_commands_in_the_text_exist(path: Path) -> None:
    group: Any = typer.main.get_command(app)
    for words in (shlex.split(text) for text in re.findall(r"`bayescope ([^`]+)`", path.read_text())):
        command = next((word for word in words if not word.startswith("-")), None)
        known = _options(group)
        if command is not None and command != "COMMAND":
            assert command in group.commands, words
            known |= _options(group.commands[command])
            known |= {
                option for inner in getattr(group.commands[command], "commands", {}).values() for option in _options(inner)
            }
        assert {word.partition("=")[0] for word in words if word.startswith("--")} <= known | {"--help"}, words


def test_every_command_is_in_the_readme() -> None:
    group: Any = typer.main.get_command(app)
    text = (ROOT / "README.md").read_text()
    assert [name for name in group.commands if f"\nbayescope {name}" not in text] == []


@pytest.mark.parametrize("path", with_(r"```toml\n"), ids=name_of)
def test_configurations_are_valid(path: Path) -> None:
    for block in blocks(path.read_text(), "toml"):
        values = tomllib.loads(block)
        parse_section(NodeConfig if "destinations" in values else Config, values)


@pytest.mark.parametrize("path", with_(r"\]\((?!http)"), ids=name_of)
def test_links_lead_to_files(path: Path) -> None:
    targets = re.findall(r"\]\((?!http|#)([^)#\s]+)", path.read_text())
    assert [target for target in targets if not (path.parent / target).is_file()] == []


def test_the_map_in_the_readme_is_that_of_the_contract() -> None:
    """`python docs/hooks/layers.py` writes it anew."""
    hook = ROOT / "docs" / "hooks" / "layers.py"
    told = subprocess.run([sys.executable, hook, "--print"], check=True, capture_output=True, text=True)
    assert told.stdout in (ROOT / "README.md").read_text()


def _parse(line: str) -> None:
    """Parse a command line as the shell would give it, running nothing; fails on an unknown subcommand, option or value."""
    command: Any = typer.main.get_command(app)
    name, *arguments = shlex.split(line, comments=True)
    try:
        context = command.make_context(name, arguments)
        while hasattr(command, "commands"):
            name, command, arguments = command.resolve_command(context, [*context._protected_args, *context.args])
            context = command.make_context(name, arguments)
    except Exception as error:
        pytest.fail(f"{line}: {error}")


def _options(command: Any) -> set[str]:
    return {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
