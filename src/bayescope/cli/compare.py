"""``bayescope compare``."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from bayescope.cli.groups import AnyOf, By, check_grouping
from bayescope.cli.options import NormaliseLabels, Positive, Strict, report_warnings
from bayescope.cli.output import add_row, new_table, print_json, resumable, say, show
from bayescope.cli.progress import bar
from bayescope.cli.train import load

NAME = "compare"
PAGE, TABLE = "compare.html", "compare.md"

Item = TypeVar("Item")


def command(
    data: Annotated[
        Path,
        typer.Argument(
            help="MedMNIST .npz, CACHE of `bayescope prepare`, folder of class folders, or CSV/Parquet table "
            "path,label[,patient][,split]."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder to write; what it contains already is not measured again.")],
    pool: Annotated[
        list[Path] | None,
        typer.Option(help="Another fold of the data, whose test images are pooled with those of DATA. Repeat for each fold."),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="TOML configuration; see recipes/.")] = None,
    networks: Annotated[
        str, typer.Option(help="Networks to compare with, separated by commas.")
    ] = "resnet18,resnet50,densenet121,efficientnet-b0,vit",
    seeds: Annotated[str, typer.Option(help="Seeds, separated by commas.")] = "0,1,2",
    fractions: Annotated[str, typer.Option(help="Shares of the training images, separated by commas.")] = "1",
    steps: Annotated[
        int | None, typer.Option(min=1, help="Training steps of every method (overrides the configuration).")
    ] = None,
    by: By = None,
    any_of: AnyOf = None,
    positive: Positive = None,
    normalise_labels: NormaliseLabels = False,
    strict: Strict = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Measure again what --out contains.")] = False,
) -> None:
    """Compare Bayescope with discriminative networks on the same images.

    Example: bayescope compare caches/mass --out runs/mass-compared --config recipes/cbis_ddsm/mass_roi.toml --networks resnet18

    Example: bayescope compare breastmnist.npz --out runs/breast-compared --networks resnet18,vit --fractions 0.1,0.25,0.5,1

    Example: bayescope compare caches/mias-0 --pool caches/mias-1 --out runs/mias-compared --by patient --any abnormal
    """
    from dataclasses import asdict

    from bayescope.config import Config, read_config
    from bayescope.data.copies import unseen_test
    from bayescope.evaluation.compare.folds import compare_folds, pooled_data
    from bayescope.evaluation.compare.groups import PLURALS, grouped_data
    from bayescope.evaluation.compare.page import cells, columns, conclusions, markdown, render
    from bayescope.evaluation.compare.run import plan
    from bayescope.evaluation.compare.summary import summarise
    from bayescope.evaluation.evaluate import check_class
    from bayescope.runs.files import write_text

    check_grouping(by, any=any_of)
    settings = read_config(config) if config else Config()
    if steps is not None:
        settings = settings.model_copy(update={"training": settings.training.model_copy(update={"steps": steps})})
    names = _several(networks, str, "networks")
    wanted = names, _several(seeds, int, "seeds"), _several(fractions, float, "fractions")
    n_cells = len(plan(*wanted)) * (1 + len(pool or []))
    folds = []
    for path in (data, *(pool or [])):
        loaded = load(path, settings.size, settings.seed, normalise_labels, strict)
        folds.append(unseen_test(loaded))
        report_warnings(folds[-1].warnings[len(loaded.warnings) :], strict)
    check_class(any_of, folds[0].class_names, "--any")
    dataset = pooled_data(folds if by is None else [grouped_data(fold, by, any_of) for fold in folds])
    check_class(positive, dataset.class_names)
    kept = resumable(lambda: f"{out} has what was measured; continue with the same command")
    with kept, bar("training and measuring", n_cells) as done:
        results = compare_folds(folds, settings, *wanted, out, force, done, by, any_of)
    found = summarise(dataset, settings, results, positive, "images" if by is None else PLURALS[by])
    write_text(out / PAGE, render(found))
    write_text(out / TABLE, markdown(found))
    if as_json:
        print_json(asdict(found))
        return
    table = new_table(*columns(found), title=f"{found.source}: {found.test_images} test {found.unit}")
    for row in found.rows:
        add_row(table, *cells(row))
    show(table)
    for line in conclusions(found):
        say(line)
    say(f"Page: {out / PAGE}; table: {out / TABLE}")


def _several(text: str, kind: Callable[[str], Item], what: str) -> list[Item]:
    from bayescope.errors import ConfigError

    try:
        return [kind(part.strip()) for part in text.split(",") if part.strip()]
    except ValueError:
        raise ConfigError(f"{what} {text!r}; expected numbers separated by commas, e.g. 0,1") from None
