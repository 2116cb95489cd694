"""``bayescope report``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bayescope.cli.evaluate import unseen_images
from bayescope.cli.options import Device, NormaliseLabels, Positive, Prevalence, Strict, heed, prior_from_text
from bayescope.cli.output import check_free, say
from bayescope.cli.progress import bar, late_bar
from bayescope.errors import RunError

if TYPE_CHECKING:
    from bayescope.data.dataset import Dataset
    from bayescope.evaluation.evaluate import Evaluation
    from bayescope.evaluation.selection import ChosenImages
    from bayescope.types import Floats

NAME = "report"


def command(
    run: Annotated[Path, typer.Argument(help="Run folder of `bayescope train`.")],
    data: Annotated[
        Path | None, typer.Option(help="Labelled image set to report on (default: the one trained on, a demo's drawn again).")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="HTML file to write (default: report.html in the run folder).")] = None,
    split: Annotated[str, typer.Option(help="auto, all, test, val or train, as of `bayescope evaluate`.")] = "auto",
    positive: Positive = None,
    prevalence: Prevalence = None,
    normalise_labels: NormaliseLabels = False,
    strict: Strict = False,
    device: Device = "auto",
    force: Annotated[bool, typer.Option("--force", help="Replace an existing report.")] = False,
) -> None:
    """Write a self-contained HTML report.

    Example: bayescope report runs/breast --positive malignant
    """
    from bayescope.evaluation.evaluate import check_class, evaluate
    from bayescope.runs.folder import REPORT
    from bayescope.runs.model_file import load_model

    target = out or run / REPORT
    check_free(target, force)
    model = load_model(run, device)
    check_class(positive, model.class_names)
    prior = prior_from_text(prevalence, model.class_names)
    drawn = None if data else _drawn_again(run, model.config.seed)
    if drawn:
        chosen = demo_images(drawn, run, split)
    else:
        chosen = unseen_images(model, run, data or _training_data(run), split, normalise_labels, strict)
    with bar("scoring images", len(chosen.images)) as advance:
        found = evaluate(model, chosen.images, prior, positive=positive, callback=advance, test_novelty=True)
    write(run, found, chosen, target, _ideal_observer(chosen) if drawn else None)
    say(f"Report: {target}")


def _drawn_again(run: Path, seed: int) -> Dataset | None:
    """The images of a run of `bayescope demo`, which lie nowhere; None for any other run."""
    from bayescope.evaluation.demo import SOURCE, demo_dataset
    from bayescope.runs.folder import read_manifest

    manifest = read_manifest(run)
    if "path" in manifest or manifest.get("source") != SOURCE:
        return None
    drawn = demo_dataset(seed)
    return drawn if drawn.fingerprint == manifest.get("fingerprint") else None


def demo_images(drawn: Dataset, run: Path, split: str = "auto") -> ChosenImages:
    """Images of the demo's data, as `bayescope evaluate` chooses them."""
    from bayescope.data.labelled import whole
    from bayescope.evaluation.selection import choose_images
    from bayescope.runs.folder import read_record

    return choose_images(whole(drawn), read_record(run), split)


def _ideal_observer(chosen: ChosenImages) -> dict[str, Floats]:
    from bayescope.data.phantom import Phantom
    from bayescope.evaluation.demo import IdealObserver

    return {"ideal observer": IdealObserver(Phantom()).posterior(chosen.images)}


def _training_data(run: Path) -> Path:
    from bayescope.runs.folder import read_manifest

    manifest = read_manifest(run)
    if "path" not in manifest:
        source = manifest.get("source", "of unknown source")
        raise RunError(f"{run}: does not say where its data ({source}) lie; expected a run of `bayescope train`. Give --data")
    return Path(manifest["path"])


def write(run: Path, found: Evaluation, chosen: ChosenImages, target: Path, reference: dict[str, Floats] | None = None) -> None:
    """Write the page, with progress bars."""
    from bayescope.evaluation.report.build import report_page
    from bayescope.runs.files import write_text

    heed([found.model.calibration.warning])
    with bar("sampling", len(found.model.class_names)) as sampled, late_bar("explaining") as explained:
        page = report_page(run, found, chosen, reference, sampled, explained)
    write_text(target, page)
