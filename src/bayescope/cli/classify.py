"""``bayescope classify``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bayescope.cli.classify_table import image_table
from bayescope.cli.dicom_objects import Codes, codes_of_objects, write_group_reports_of, write_reports_of
from bayescope.cli.engines import ENGINE_HELP, Address, check_archive_options, classify_into_parquet
from bayescope.cli.groups import AnyOf, By, Csv, Groups, check_grouping, group_table, scoring_rate, write_group_csv
from bayescope.cli.options import (
    Device,
    DisagreementRate,
    Frame,
    MaxPasses,
    Prevalence,
    Resize,
    frame_from_text,
    prior_from_text,
)
from bayescope.cli.output import (
    check_free,
    complain,
    print_json,
    show,
    warn,
    write_json_lines,
)
from bayescope.cli.progress import bar, late_counter

if TYPE_CHECKING:
    from bayescope.inference.model import LikelihoodModel
    from bayescope.inference.predictions import Predictions
    from bayescope.inference.read import ModelInput

NAME = "classify"


def command(
    run: Annotated[Path, typer.Argument(help="Run folder of `bayescope train`.")],
    images: Annotated[
        list[str],
        typer.Argument(
            help="Image files: PNG, JPEG, TIFF, BMP, WebP, GIF, PGM, or DICOM for a prepared model; folders of them; or one "
            "CACHE of `bayescope prepare`. With a Parquet --out also tables of paths, and addresses such as s3://bucket/images."
        ),
    ],
    frame: Frame = None,
    split: Annotated[str, typer.Option(help="Of a cache: train, val, test or all.")] = "test",
    by: By = None,
    any_of: AnyOf = None,
    groups: Groups = None,
    csv: Csv = None,
    prevalence: Prevalence = None,
    disagreement_rate: DisagreementRate = None,
    max_passes: MaxPasses = None,
    no_trust_tests: Annotated[
        bool,
        typer.Option(
            "--no-trust-tests",
            "--no-novelty",
            help="Skip the trust tests, which detect unfamiliar images: saves up to a pass per noise level.",
        ),
    ] = False,
    resize: Resize = False,
    runtime: Annotated[
        str,
        typer.Option(help="What runs the network: torch, or onnx: the graph of `bayescope export`, on the CPU."),
    ] = "torch",
    device: Device = "auto",
    out: Annotated[
        Path | None,
        typer.Option(
            help="Also write the JSON lines to this file. With the suffix .parquet: write a row for each image, block by "
            "block, in any number; an interrupted job is continued."
        ),
    ] = None,
    engine: Annotated[str | None, typer.Option(help=f"{ENGINE_HELP}. For a Parquet --out (default: local).")] = None,
    address: Address = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, help="Processes, of one thread each, for a Parquet --out (default: local, one; ray, one for each core)."
        ),
    ] = None,
    sr: Annotated[
        Path | None, typer.Option(help="Also write a structured report of each DICOM image (TID 1500) to this folder.")
    ] = None,
    codes: Codes = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace --out, --csv, and files of --sr whose content differs.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object for each image and unreadable file.")] = False,
) -> None:
    """Classify image files, and all images in folders. Exit code 1 if some could not be read.

    Example: bayescope classify runs/breast a.png b.png --prevalence "malignant=0.01,normal or benign=0.99" --json

    Example: bayescope classify runs/mammography study/ --sr reports

    Example: bayescope classify runs/mammography study/ --by breast

    Example: bayescope classify runs/breast s3://bucket/images --out answers.parquet --engine ray
    """
    from bayescope.data.preparation.cache import is_cache
    from bayescope.evaluation.evaluate import check_class
    from bayescope.evaluation.selection import images_of_cache, seen_splits
    from bayescope.export.runtime import load_model_on
    from bayescope.inference.combine import combine
    from bayescope.inference.group_images import images_in_groups
    from bayescope.runs.folder import read_record
    from bayescope.runs.model_file import read_class_names

    for target in filter(None, (out, csv)):
        check_free(target, force)
    check_grouping(by, any=any_of, groups=groups, csv=csv)
    of_archives = {"--engine": engine, "--address": address, "--workers": workers}
    of_files = {"--by": by, "--csv": csv, "--runtime": None if runtime == "torch" else runtime, "--sr": sr, "--codes": codes}
    if check_archive_options(out, of_archives, of_files) and out is not None:
        classify_into_parquet(
            *(run, images, out, engine, as_json, force),
            address=address,
            workers=workers,
            class_prior=prior_from_text(prevalence, read_class_names(run)),
            disagreement_rate=disagreement_rate,
            max_passes=max_passes,
            trust_tests=not no_trust_tests,
            frame=frame_from_text(frame),
            split=split,
            resize=resize,
            device=device,
        )
        return
    model = load_model_on(run, runtime, device)
    check_class(any_of, model.class_names, "--any")
    paths = [Path(image) for image in images]
    record = read_record(run)
    prior = prior_from_text(prevalence, model.class_names)
    is_one_cache = len(paths) == 1 and is_cache(paths[0])
    class_codes = codes_of_objects(model, sr, codes, "--sr", is_one_cache)
    found = images_of_cache(model, paths[0], split) if is_one_cache else read_images(model, paths, frame, resize)
    keys = tuple[str, ...]()
    if by is not None and found.names:
        grouped = images_in_groups(found, by, groups)
        found, keys = grouped.images, grouped.keys
        for text in grouped.warnings:
            warn(text)
    records, of_groups = [], None
    if found.names:
        with bar("scoring images", len(found), quiet=len(found) < 4) as advance:
            predictions = model.classify(
                found.pixels, prior, scoring_rate(by, disagreement_rate), max_passes, advance, trust_tests=not no_trust_tests
            )
        if no_trust_tests:
            predictions = replace(predictions, trust={})
        seen = seen_splits(record, found.pixels)
        _warn(model, predictions, seen, no_trust_tests)
        records = list(predictions.records(model, found.names, found.remarks, seen))
        if by is not None:
            of_groups = combine(model, predictions, keys, by, any_of)
            warn(of_groups.warning)
    summaries = [] if of_groups is None else list(of_groups.records(found.names, [model.calibration.warning]))
    lines = [*records, *summaries, *found.left_out_records()]
    if out is not None:
        write_json_lines(out, lines)
    if csv is not None and of_groups is not None:
        write_group_csv(csv, of_groups, found.names)
    if as_json:
        for line in lines:
            print_json(line)
    elif found.names:
        show(image_table(found.names, model, predictions, seen))
        if of_groups is not None:
            show(group_table(of_groups, found.names))
    has_reports = sr is None or write_reports_of(run, found, records, class_codes, sr, force)
    if sr is not None and of_groups is not None:
        has_reports &= write_group_reports_of(run, found, of_groups, summaries, class_codes, sr, force)
    if found.failed or not has_reports:
        raise typer.Exit(1)


def _warn(model: LikelihoodModel, predictions: Predictions, seen: list[str], no_trust_tests: bool) -> None:
    """What to know before trusting the predictions."""
    from bayescope.inference.trust_tests import TRUST_TESTS

    for name, test in TRUST_TESTS.items():
        if name not in predictions.trust and not no_trust_tests:
            warn(test.wording.not_fitted)
    warn(model.calibration.warning)
    if model.decisions is None:
        warn("no prediction sets: they need calibrated ratios and at least ten validation images of each class")
    else:
        warn(model.decisions.abstention.warning)
    for split, role in (("train", "trained"), ("val", "validated")):
        if n := seen.count(split):
            warn(f"the run was {role} on {n} of these {len(seen)} images: their predictions do not apply to new ones")


def read_images(model: LikelihoodModel, images: list[Path], frame: str | None, resize: bool = False) -> ModelInput:
    """Read files and folders with a progress bar; says what is passed over and why, and what to know of the others."""
    from bayescope.inference.read import read_for_model

    with late_counter("reading images") as count:
        found = read_for_model(model, images, frame_from_text(frame), count, resize)
    for file in found.failed:
        complain(f"skipped: {file.reason}")
    for text in found.warnings:
        warn(text)
    if found.from_folders:
        complain(str(found.files), "yellow" if found.left_out else "dim")
    return found
