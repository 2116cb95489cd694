"""``bayescope card``."""

from pathlib import Path
from typing import Annotated

import typer

from bayescope.cli.output import check_free, say

NAME = "card"


def command(
    run: Annotated[Path, typer.Argument(help="Run folder of `bayescope train`.")],
    out: Annotated[Path | None, typer.Option(help="File to write (default: README.md in the run folder).")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Write a model card in the layout of Hugging Face, from what the run knows. Nothing is sent.

    What was measured is taken from measures.json in the run folder.

    Example: bayescope evaluate runs/breast breastmnist.npz --out runs/breast/measures.json

    Example: bayescope card runs/breast
    """
    from bayescope.evaluation.model_card import write_model_card
    from bayescope.runs.files import CARD

    check_free(out or run / CARD, force)
    say(f"Model card: {write_model_card(run, out)}")
