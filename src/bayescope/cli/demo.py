"""``bayescope demo``."""

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from bayescope.cli.evaluate import class_table, measures_table
from bayescope.cli.output import finite, resumable, say, show
from bayescope.cli.progress import bar, training_bars

NAME = "demo"
MEASURES = "measures.json"


def command(
    out: Annotated[Path, typer.Option(help="Run folder to write.")] = Path("demo-run"),
    seed: Annotated[int, typer.Option(min=0, help="Seed of images, weights and noise.")] = 0,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Training steps (default: done in under five minutes on two cores).")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the run in --out.")] = False,
) -> None:
    """Train on a phantom whose truth is known and compare with the ideal observer (under 5 minutes, no download).

    Example: bayescope demo --out demo-run
    """
    from bayescope.cli.report import demo_images, write
    from bayescope.data.phantom import Phantom
    from bayescope.evaluation.demo import IdealObserver, attained, demo_config, demo_dataset
    from bayescope.evaluation.evaluate import evaluate
    from bayescope.fitting.fit import fit_run
    from bayescope.metrics.classification import measure
    from bayescope.runs.files import write_atomically
    from bayescope.runs.folder import REPORT

    began = time.perf_counter()
    config = demo_config(seed, steps)
    data = demo_dataset(seed)
    kept = resumable(lambda: "the demo cannot be resumed; start again with --force")
    with kept, training_bars(data, config) as (step, scored):
        model = fit_run(data, config, out, watch=step, scored=scored, force=force)
    with bar("scoring images", len(data.test)) as advance:
        found = evaluate(model, data.test, callback=advance)
    seconds = round(time.perf_counter() - began)
    ideal = IdealObserver(Phantom()).posterior(data.test)
    ours, best = measure(found.predictions.posterior, data.test.labels), measure(ideal, data.test.labels)
    target = out / REPORT
    record: dict[str, object] = {
        "seed": seed,
        "steps": config.training.steps,
        "seconds": seconds,
        "passes": found.predictions.mean_passes,
    }
    for observer, measures in (("bayescope", ours), ("ideal", best)):
        record[observer] = {name: asdict(estimate) for name, estimate in measures.items()}
    write_atomically(out / MEASURES, json.dumps(finite(record), indent=1).encode())
    write(out, found, demo_images(data, out, "test"), target, {"ideal observer": np.asarray(ideal)})
    title = f"{len(data.test)} phantom images: {', '.join(data.class_names)}"
    show(measures_table(title, ours, ideal_observer=best))
    for name, chance in (("AUC", 0.5), ("accuracy", 1 / data.n_classes)):
        share = attained(ours[name].value, best[name].value, chance)
        say(f"{name}: {100 * share:.0f} % of what is attainable above chance")
    show(class_table(found))
    say(f"Report: {target}")
