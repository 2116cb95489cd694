"""The reference of the command line, written from the commands themselves."""

from typing import Any

from bayescope.cli.main import commands

PLACE = "{{ commands }}"
_EXAMPLE = "Example: "


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put every subcommand where a page says so."""
    return markdown.replace(PLACE, reference()) if PLACE in markdown else markdown


def reference() -> str:
    """One section for each subcommand."""
    return "\n".join(_section(name, command) for name, command in commands().items())


def _section(name: str, command: Any) -> str:
    context = command.make_context(f"bayescope {name}", [], resilient_parsing=True)
    about = [line.strip() for line in (command.help or "").splitlines() if line.strip()]
    examples = [line.removeprefix(_EXAMPLE) for line in about if line.startswith(_EXAMPLE)]
    lines = [f"## {name}", "", *(line for line in about if not line.startswith(_EXAMPLE)), ""]
    usage = command.get_usage(context).removeprefix("Usage: ")
    lines += ["```text", *usage.splitlines(), "```", ""]
    for title, kind in (("argument", "argument"), ("option", "option")):
        records = [param.get_help_record(context) for param in command.params if param.param_type_name == kind]
        rows = [f"| `{_plain(what)}` | {_cell(text)} |" for what, text in filter(None, records)]
        if rows:
            lines += [f"| {title} | |", "| --- | --- |", *rows, ""]
    if examples:
        lines += ["```sh", *examples, "```", ""]
    return "\n".join(lines)


def _plain(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _cell(text: str) -> str:
    return _plain(text).replace("[", "\\[").replace("<", "&lt;")
