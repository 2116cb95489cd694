"""``bayescope node``."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from bayescope.cli.output import add_row, complain, new_table, print_json, say, show

if TYPE_CHECKING:
    from bayescope.node.config import NodeConfig

NAME = "node"
_RUN = "run"


class _RunIsMeant(TyperGroup):
    """What is no other command is the run folder of ``run``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        names_command = not args or args[0] in self.commands or args[0] == "--help"
        return super().parse_args(ctx, args if names_command else [_RUN, *args])


app = typer.Typer(
    cls=_RunIsMeant,
    no_args_is_help=True,
    help="Receive images from an archive or a modality, classify them and send the results back: a DICOM node.\n\n"
    "`bayescope node RUN` is short for `bayescope node run RUN`.",
)
Config = Annotated[Path, typer.Option("--config", help="TOML file with the settings of the node.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print a JSON object.")]


@app.command(_RUN)
def run_command(
    run: Annotated[Path, typer.Argument(help="Run folder of `bayescope train`, of a prepared cache.")],
    config: Config,
) -> None:
    """Run the node until it is interrupted or terminated.

    Example: bayescope node runs/breast --config node.toml
    """
    settings = _read(config)
    from bayescope.node.service import run_node

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    run_node(settings, run, stop, lambda: complain(_started(settings), "dim"))


@app.command("status")
def status_command(config: Config, as_json: AsJson = False) -> None:
    """Show the queue, throughput and the last errors.

    Example: bayescope node status --config node.toml
    """
    settings = _read(config)
    from bayescope.node.maintenance import TABLES, node_status

    found = node_status(settings)
    if as_json:
        print_json(found)
        return
    table = new_table("table", "state", "entries", right=("entries",))
    for name in TABLES:
        for state, count in found[name].items():
            add_row(table, name, state, str(count))
    show(table)
    say(f"Answers: {found['answered_last_hour']} in the last hour, {found['answered_last_day']} in the last day")
    say(f"Longest wait: {found['longest_wait_s']:.0f} s; on disk: {found['bytes'] / 1e6:.1f} MB")
    for model, drift in found["drift"].items():
        say(f"Drift, model {model[:12]}: {drift['finding']} ({drift['looks']} looks at {drift['images']} images)")
    for reason, count in found["skipped"].items():
        say(f"Skipped: {count}, {reason}")
    for dead in found["dead_letters"]:
        say(f"Dead letter: {dead['name']} to {dead['destination']}, waiting since {_moment(dead['since'])}: {dead['error']}")
    for error in found["last_errors"]:
        say(f"{_moment(error['time'])} {error['kind']}, {error['name']}: {error['error']}")


@app.command("requeue")
def requeue_command(
    config: Config,
    skipped: Annotated[bool, typer.Option("--skipped", help="Also route again what was skipped.")] = False,
    as_json: AsJson = False,
) -> None:
    """Try again what failed: images that could not be read, studies not combined, and dead letters.

    Example: bayescope node requeue --config node.toml
    """
    settings = _read(config)
    from bayescope.node.maintenance import requeue

    found = requeue(settings, skipped)
    if as_json:
        print_json(found)
    else:
        say(
            f"To be read again: {found['answers']}; combined again: {found['combinations']}; "
            f"sent again: {found['deliveries']}; routed again: {found['instances']}"
        )


@app.command("purge")
def purge_command(
    config: Config,
    days: Annotated[
        float | None, typer.Option(min=0, help="Delete what is done for so many days (default: as configured).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Delete images and results that nothing waits for any more.

    Example: bayescope node purge --config node.toml --days 7
    """
    settings = _read(config)
    from bayescope.node.maintenance import purge_node

    found = purge_node(settings, days)
    if as_json:
        print_json(found)
    else:
        say(f"Deleted: {found['instances']} images, {found['results']} results")


def _read(path: Path) -> NodeConfig:
    """The settings.  Raises ConfigError if the optional packages are missing."""
    from bayescope.node.requirements import check_installed

    check_installed()
    from bayescope.node.config import read_node_config

    return read_node_config(path)


def _started(config: NodeConfig) -> str:
    places = []
    if config.listen:
        places.append(f"listening as {config.listen.ae_title} on {config.listen.address}:{config.listen.port}")
    if config.poll:
        places.append(f"searching {config.poll.url} every {config.poll.every_s:g} s")
    return f"{', '.join(places)}; log and audit trail in {config.folder}; stop with Ctrl-C"


def _moment(seconds: float) -> str:
    from datetime import datetime

    return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds")
