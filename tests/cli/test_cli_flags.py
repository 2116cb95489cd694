"""Every option of every command, given a value that is not its default, reaches the call in Python that it stands for."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bayescope.cli.main import commands
from bayescope.config import Config, dump_toml, parse_config
from bayescope.data.dataset import Dataset
from bayescope.node.database import Database
from bayescope.node.maintenance import DATABASE
from cli.spies import argument, remembered
from conftest import stripes, write_npz
from mammograms import mammogram, write_mammogram
from nodes import node_config, write_toml

OPTIONS = [
    pytest.param(name, option, id=f"{name} {option}")
    for name, command in commands().items()
    for parameter in command.params
    if parameter.param_type_name == "option"
    for option in (*parameter.opts, *parameter.secondary_opts)
]

FEWEST = {
    "demo": "",
    "train": "{npz} --out {new} --config {config}",
    "evaluate": "{run} {npz}",
    "classify": "{run} {image}",
    "explain": "{run} {image} --out {new}",
    "serve": "{run}",
    "compare": "{npz} --out {new} --config {config} --networks '' --seeds 0",
    "likelihood": "{run} {image}",
    "prepare": "folder {classes} --out {new} --size 8 --workers 1",
    "adapt": "{run} {npz} --out {new}",
    "prevalence": "{run} {unseen}",
    "report": "{run}",
    "sample": "{run}",
    "export": "{run} --out {new}",
    "card": "{run} --out {other}",
    "node run": "{run} --config {node}",
    "node status": "--config {node}",
    "node requeue": "--config {node}",
    "node purge": "--config {node}",
}
"""Arguments that each command cannot do without, or is quick with."""

EVALUATE = "evaluation.folds:evaluate_folds"
REPORT = "evaluation.report.build:write_report"
PREPARE = "data.preparation.prepare:prepare_archive"
FIT = "fitting.fit:fit_run"
JOIN = "diffusion.device:join_processes"
LOAD = "data.load:load_dataset"
UNLABELLED = "data.unlabelled:with_unlabelled"
READ = "inference.read:read_for_model"
ADAPT = "evaluation.adaptation:adapt_run"
SITE = "evaluation.unlabelled_input:read_site_images"
MODEL = "runs.model_file:load_model"
EXPLAIN = "inference.explain:explain"
COMPARE = "evaluation.compare.folds:compare_folds"
FLOW = "inference.likelihood:exact_likelihood"
ARCHIVE = "archive.classify:classify_archive"
CLASSIFY = "inference.model:LikelihoodModel.classify"
GROUP_KEYS = "inference.group_images:images_in_groups"
SAMPLE = "inference.trained:TrainedModel.sample"
EXPORT = "export.export:export_run"
RUNTIME = "export.runtime:load_model_on"
SERVE = "service.serve:serve"
SLOW = [EXPORT, ADAPT, EVALUATE, EXPLAIN, FLOW, SAMPLE]
"""What works once for each of the shortest command lines where it is not what an option has to reach."""


@dataclass(frozen=True)
class Reaches:
    """``value`` on the command line makes the argument ``at`` of ``function`` what is ``expected``.

    ``beside``: on the command line with the option and without it; ``fewest``: in place of the command's ``FEWEST``.
    """

    value: str
    function: str
    at: str
    expected: Any = True
    beside: str = ""
    fewest: str = ""


def passed(value: object, function: str, at: str, expected: Any = None) -> list[Reaches]:
    """``value`` arrives as it is, unless something else is ``expected``."""
    return [Reaches(str(value), function, at, value if expected is None else expected)]


def switch(function: str, at: str, expected: bool = True, beside: str = "", fewest: str = "") -> list[Reaches]:
    """An option without a value."""
    return [Reaches("", function, at, expected, beside, fewest)]


def printed_as_json(command: str) -> list[Reaches]:
    return switch(f"cli.{command}:print_json", "")


def written(command: str) -> list[Reaches]:
    return passed("{new}", f"cli.{command}:write_json_lines", "path")


def replaced(command: str, beside: str = "--out {new}") -> list[Reaches]:
    return switch(f"cli.{command}:check_free", "force", beside=beside)


def of_train(name: str, value: int, key: str) -> list[Reaches]:
    return passed(value, FIT, f"config.{key}")


NODE = {"--config": passed("{other_node}", "node.config:read_node_config", "path")}
NODE_AS_JSON = NODE | {"--json": printed_as_json("node")}
WRITE = "dicom:write_objects"
DICOM = "{prepared_run} {dicom} --out {new}"
GROUPED = "{patients} --out {new} --config {config} --networks '' --seeds 0"
PRIOR = "upper=0.25,lower=0.75"
FLAGS: dict[str, dict[str, list[Reaches]]] = {
    "demo": {
        "--out": passed("{new}", "evaluation.demo_run:run_demo", "out"),
        "--seed": passed(3, "evaluation.demo_run:run_demo", "seed"),
        "--steps": passed(5, "evaluation.demo_run:run_demo", "steps"),
        "--force": switch("evaluation.demo_run:run_demo", "force"),
    },
    "train": {
        "--out": passed("{other}", FIT, "run"),
        "--config": [
            *passed("{other_config}", FIT, "config.training.batch_size", 7),
            *passed("{other_config}", LOAD, "seed", 5),
            *passed("{small_config}", LOAD, "size", 8),
        ],
        "--steps": passed(5, FIT, "config.training.steps"),
        "--levels": passed(3, FIT, "config.evidence.levels"),
        "--unlabelled": passed("{classes}", UNLABELLED, "path"),
        "--init": [
            *passed("{run}", MODEL, "run"),
            Reaches("{run}", FIT, "init.class_names", ("upper", "lower")),
        ],
        "--size": [
            *passed(16, LOAD, "size"),
            Reaches("16", UNLABELLED, "size", 16, fewest="{classes} --out {new} --unlabelled {classes}"),
        ],
        "--seed": [*passed(3, LOAD, "seed"), *passed(3, FIT, "config.seed")],
        "--device": passed("cpu", FIT, "config.device"),
        "--devices": passed(2, JOIN, "config.devices"),
        "--nodes": passed(2, JOIN, "config.nodes"),
        "--strategy": passed("ddp", JOIN, "config.strategy"),
        "--resume": switch(FIT, "resume"),
        "--force": switch(FIT, "force"),
        "--checkpoint-every": passed(7, FIT, "checkpoint_every"),
        "--logger": passed("tensorboard", "tracking.loggers:training_log", "words", ("tensorboard",)),
        "--normalise-labels": switch(LOAD, "normalise_labels"),
        "--strict": switch("cli.train:report_warnings", "strict"),
    },
    "evaluate": {
        "--by": passed("patient", "evaluation.group_evaluation:evaluate_groups", "by"),
        "--any": [Reaches("lower", "evaluation.group_evaluation:evaluate_groups", "positive", "lower", "--by patient")],
        "--pool": [Reaches("{run}", "evaluation.folds:Fold.of", "run", "{run}")],
        "--split": passed("val", EVALUATE, "split"),
        "--positive": passed("lower", EVALUATE, "positive"),
        "--prevalence": passed(PRIOR, EVALUATE, "class_prior", (0.25, 0.75)),
        "--disagreement-rate": passed(0.5, EVALUATE, "disagreement_rate"),
        "--max-passes": passed(6, EVALUATE, "max_passes"),
        "--normalise-labels": switch(EVALUATE, "normalise_labels"),
        "--strict": switch(EVALUATE, "warned.keywords.strict"),
        "--resize": switch(EVALUATE, "resize"),
        "--device": passed("cpu", EVALUATE, "device"),
        "--out": written("evaluate"),
        "--force": replaced("evaluate"),
        "--json": printed_as_json("evaluate"),
    },
    "classify": {
        "--by": passed("breast", GROUP_KEYS, "by"),
        "--any": [Reaches("lower", "inference.combine:combine", "positive", "lower", "--by patient --groups {groups}")],
        "--csv": [Reaches("{new}", "cli.classify:write_group_csv", "path", "{new}", "--by patient --groups {groups}")],
        "--groups": [Reaches("{groups}", GROUP_KEYS, "table", "{groups}", "--by patient")],
        "--frame": passed(2, READ, "frame"),
        "--split": [Reaches("val", "evaluation.selection:images_of_cache", "split", "val", fewest="{run} {cache}")],
        "--prevalence": passed(PRIOR, CLASSIFY, "class_prior", (0.25, 0.75)),
        "--disagreement-rate": passed(0.5, CLASSIFY, "disagreement_rate"),
        "--max-passes": passed(6, CLASSIFY, "max_passes"),
        "--no-trust-tests": switch(CLASSIFY, "trust_tests", expected=False),
        "--no-novelty": switch(CLASSIFY, "trust_tests", expected=False),
        "--resize": switch(READ, "resize"),
        "--runtime": passed("onnx", RUNTIME, "runtime"),
        "--device": passed("cpu", RUNTIME, "device"),
        "--out": written("classify"),
        "--engine": [Reaches("ray", ARCHIVE, "engine", "ray", beside="--out {new}.parquet")],
        "--address": [Reaches("auto", ARCHIVE, "address", "auto", beside="--out {new}.parquet --engine ray")],
        "--workers": [Reaches("2", ARCHIVE, "workers", 2, beside="--out {new}.parquet")],
        "--sr": [Reaches("{new}", "cli.classify:write_reports_of", "folder", "{new}", fewest="{prepared_run} {dicom}")],
        "--codes": [
            Reaches("{codes}", "dicom:read_codes", "path", "{codes}", "--sr {other}", fewest="{prepared_run} {dicom}"),
        ],
        "--force": [
            *replaced("classify"),
            Reaches("", "cli.classify:write_reports_of", "force", True, "--sr {new}", fewest="{prepared_run} {dicom}"),
        ],
        "--json": printed_as_json("classify"),
    },
    "explain": {
        "--out": [Reaches("{other}", "runs.files:write_atomically", "path.parent", "{other}")],
        "--frame": passed(2, READ, "frame"),
        "--against": passed("lower", EXPLAIN, "against"),
        "--prevalence": passed(PRIOR, EXPLAIN, "class_prior", (0.25, 0.75)),
        "--bans": [Reaches("", "evaluation.explanation_files:explanation_files", "unit", "bans")],
        "--counterfactual": [Reaches("", EXPLAIN, "counterfactual_sigma", 1.0)],
        "--sigma": [Reaches("0.5", EXPLAIN, "counterfactual_sigma", 0.5, "--counterfactual")],
        "--resize": switch(READ, "resize"),
        "--dicom": [Reaches("{other}", WRITE, "folder", "{other}", fewest=DICOM)],
        "--codes": [Reaches("{codes}", "dicom:read_codes", "path", "{codes}", "--dicom {other}", fewest=DICOM)],
        "--force": [Reaches("", WRITE, "force", True, "--dicom {other}", fewest=DICOM)],
        "--device": passed("cpu", MODEL, "device"),
    },
    "serve": {
        "--host": passed("localhost", SERVE, "host"),
        "--port": passed(0, SERVE, "port"),
        "--token-file": passed("{token}", SERVE, "settings.token", "0123456789abcdef"),
        "--tls-certificate": [Reaches("a.pem", SERVE, "tls_certificate.name", "a.pem")],
        "--tls-key": [Reaches("b.pem", SERVE, "tls_key.name", "b.pem")],
        "--max-upload": passed(3, SERVE, "settings.max_upload", 3 * 2**20),
        "--max-pixels": passed(1000, SERVE, "settings.max_pixels"),
        "--max-waiting": passed(7, SERVE, "settings.max_waiting"),
        "--keep": [Reaches("kept", SERVE, "settings.keep.name", "kept")],
        "--dicomweb": passed("http://127.0.0.1:1/dicom-web", SERVE, "settings.dicomweb"),
        "--device": passed("cpu", SERVE, "device"),
    },
    "compare": {
        "--by": [Reaches("patient", COMPARE, "by", "patient", fewest=GROUPED)],
        "--any": [Reaches("upper", COMPARE, "any_of", "upper", "--by patient", fewest=GROUPED)],
        "--pool": [Reaches("{classes}", "evaluation.compare.folds:pooled_data", "folds.1.source", "classes")],
        "--out": passed("{other}", COMPARE, "folder"),
        "--config": [
            *passed("{other_config}", COMPARE, "config.training.batch_size", 7),
            *passed("{other_config}", LOAD, "seed", 5),
            *passed("{small_config}", LOAD, "size", 8),
        ],
        "--networks": passed("vit,resnet18", COMPARE, "networks", ("vit", "resnet18")),
        "--seeds": passed("3,4", COMPARE, "seeds", (3, 4)),
        "--fractions": passed("0.5,1", COMPARE, "fractions", (0.5, 1.0)),
        "--steps": passed(5, COMPARE, "config.training.steps"),
        "--positive": passed("1", "evaluation.compare.summary:summarise", "positive"),
        "--normalise-labels": switch(LOAD, "normalise_labels"),
        "--strict": switch("cli.compare:report_warnings", "strict"),
        "--json": printed_as_json("compare"),
        "--force": switch(COMPARE, "force"),
    },
    "likelihood": {
        "--frame": passed(2, READ, "frame"),
        "--solver": passed("heun", FLOW, "settings.solver"),
        "--tolerance": passed(0.01, FLOW, "settings.tolerance"),
        "--steps": passed(5, FLOW, "settings.steps"),
        "--trace": passed("gaussian", FLOW, "settings.trace"),
        "--probes": passed(2, FLOW, "settings.probes"),
        "--resize": switch(READ, "resize"),
        "--device": passed("cpu", MODEL, "device"),
        "--json": printed_as_json("likelihood"),
    },
    "prepare": {
        "--out": passed("{other}", PREPARE, "out"),
        "--size": passed(16, PREPARE, "size"),
        "--task": passed("mass-roi", PREPARE, "task"),
        "--split": passed("folds", PREPARE, "split"),
        "--fold": passed(2, PREPARE, "fold"),
        "--folds": passed(4, PREPARE, "folds"),
        "--val-fraction": passed(0.3, PREPARE, "val_fraction"),
        "--seed": passed(3, PREPARE, "seed"),
        "--crop": switch(PREPARE, "crop"),
        "--no-crop": switch(PREPARE, "crop", expected=False),
        "--orient": switch(PREPARE, "orient"),
        "--no-orient": switch(PREPARE, "orient", expected=False),
        "--clahe": switch(PREPARE, "clahe"),
        "--window": passed(2, PREPARE, "window"),
        "--frame": passed(2, PREPARE, "frame"),
        "--normalise-labels": switch(PREPARE, "normalise_labels"),
        "--strict": switch(PREPARE, "warned.keywords.strict"),
        "--workers": passed(2, PREPARE, "workers"),
        "--engine": passed("ray", PREPARE, "engine"),
        "--address": [Reaches("auto", PREPARE, "address", "auto", beside="--engine ray")],
        "--max-broken": passed(5, PREPARE, "max_broken"),
        "--force": switch(PREPARE, "force"),
        "--json": printed_as_json("prepare"),
    },
    "adapt": {
        "--out": passed("{other}", ADAPT, "out"),
        "--split": passed("test", ADAPT, "split"),
        "--normalise-labels": switch(ADAPT, "normalise_labels"),
        "--strict": switch(ADAPT, "warned.keywords.strict"),
        "--resize": switch(ADAPT, "resize"),
        "--device": passed("cpu", ADAPT, "device"),
        "--force": switch(ADAPT, "force"),
        "--json": switch("cli.adapt:print_json", "", fewest="{run} {local} --out {new}"),
    },
    "prevalence": {
        "--frame": passed(2, SITE, "frame"),
        "--resize": switch(SITE, "resize"),
        "--device": passed("cpu", MODEL, "device"),
        "--seed": passed(3, "evaluation.prevalence:estimate_prevalence", "seed"),
        "--out": written("prevalence"),
        "--force": replaced("prevalence"),
        "--json": printed_as_json("prevalence"),
    },
    "report": {
        "--data": passed("{npz}", REPORT, "data"),
        "--out": passed("{new}", REPORT, "target"),
        "--split": passed("val", REPORT, "split"),
        "--positive": passed("lower", REPORT, "positive"),
        "--prevalence": passed(PRIOR, REPORT, "class_prior", (0.25, 0.75)),
        "--normalise-labels": switch(REPORT, "normalise_labels"),
        "--strict": switch(REPORT, "warned.keywords.strict"),
        "--device": passed("cpu", REPORT, "device"),
        "--force": replaced("report", beside=""),
    },
    "sample": {
        "--out": passed("{new}", "runs.files:write_atomically", "path"),
        "--per-class": passed(2, SAMPLE, "per_class"),
        "--steps": passed(3, SAMPLE, "steps"),
        "--seed": passed(3, SAMPLE, "seed"),
        "--device": passed("cpu", MODEL, "device"),
        "--force": replaced("sample", beside=""),
    },
    "export": {
        "--format": passed("torch-export", EXPORT, "kind"),
        "--out": passed("{new}", EXPORT, "out"),
        "--half": switch(EXPORT, "half"),
        "--data": passed("{npz}", EXPORT, "data"),
        "--force": replaced("export"),
        "--json": switch("cli.export:print_json", "", fewest="{run} --format torch-export --out {new}"),
    },
    "card": {
        "--out": passed("{new}", "evaluation.model_card:write_model_card", "target"),
        "--force": replaced("card"),
    },
    "node run": NODE,
    "node status": NODE_AS_JSON,
    "node requeue": NODE_AS_JSON | {"--skipped": switch("node.maintenance:requeue", "skipped")},
    "node purge": NODE_AS_JSON | {"--days": passed(3, "node.maintenance:purge_node", "days", 3.0)},
}
"""By command and option: where its value must arrive."""


@pytest.fixture(scope="module")
def paths(
    tiny_run: Path,
    tiny_npz: Path,
    tiny_data: Dataset,
    tiny_config: Config,
    prepared_run: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, str]:
    """What stands in braces on the command lines, besides what each test writes."""
    folder = tmp_path_factory.mktemp("flags")
    for name in ("upper", "lower", "cache"):
        (folder / "classes" / name).mkdir(parents=True) if name != "cache" else (folder / name).mkdir()
    for i, pixels in enumerate(tiny_data.train.pixels[:40]):
        Image.fromarray(pixels[0]).save(folder / "classes" / tiny_data.class_names[tiny_data.train.labels[i]] / f"{i}.png")
    Image.fromarray(tiny_data.test.pixels[0, 0]).save(folder / "image.png")
    rows = [f"{path.relative_to(folder)},{path.parent.name},{path.stem}" for path in (folder / "classes").rglob("*.png")]
    (folder / "patients.csv").write_text("\n".join(["path,label,patient", *rows]))
    (folder / "groups.csv").write_text("path,patient\nimage.png,1\n")
    (folder / "unseen").mkdir()
    for i, pixels in enumerate(tiny_data.test.pixels):
        Image.fromarray(pixels[0]).save(folder / "unseen" / f"{i}.png")
    (folder / "cache" / "cache.json").touch()
    quick = tiny_config.model_dump(exclude_none=True)
    quick["training"] |= {"steps": 4, "warmup_steps": 1}
    (folder / "quick.toml").write_text(dump_toml(parse_config(quick)))
    other = quick | {"seed": 5, "training": quick["training"] | {"batch_size": 7}}
    (folder / "other.toml").write_text(dump_toml(parse_config(other)))
    (folder / "small.toml").write_text("size = 8")
    (folder / "node").mkdir()
    Database(folder / "node" / DATABASE)
    for name in ("node", "other_node"):
        write_toml(node_config(folder / "node"), folder / f"{name}.toml")
    (folder / "token").write_text("0123456789abcdef")
    uids = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.4"}
    write_mammogram(folder / "image.dcm", mammogram(24, 16), **uids)
    (folder / "codes.toml").write_text('[dicom.codes.ill]\nscheme = "SCT"\nvalue = "39104002"\nmeaning = "Illness"')
    return {
        "node": str(folder / "node.toml"),
        "other_node": str(folder / "other_node.toml"),
        "run": str(tiny_run),
        "prepared_run": str(prepared_run),
        "dicom": str(folder / "image.dcm"),
        "codes": str(folder / "codes.toml"),
        "npz": str(tiny_npz),
        "classes": str(folder / "classes"),
        "cache": str(folder / "cache"),
        "image": str(folder / "image.png"),
        "unseen": str(folder / "unseen"),
        "groups": str(folder / "groups.csv"),
        "patients": str(folder / "patients.csv"),
        "local": str(write_npz(folder / "local.npz", replace(tiny_data, test=stripes(48, 9)))),
        "config": str(folder / "quick.toml"),
        "other_config": str(folder / "other.toml"),
        "small_config": str(folder / "small.toml"),
        "token": str(folder / "token"),
    }


def same(found: Any, expected: Any) -> bool:
    if isinstance(expected, tuple) and isinstance(found, list | np.ndarray):
        return tuple(found) == expected
    return isinstance(found, type(expected)) and bool(found == expected)


def words(*texts: str, **paths: str) -> Sequence[str]:
    return [word.format(**paths) for text in texts for word in shlex.split(text)]


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    """Of the ``SLOW`` functions, by command line."""
    return {}


@pytest.mark.slow
@pytest.mark.parametrize(("command", "option"), OPTIONS)
@pytest.mark.usefixtures("few_draws", "one_process")
def test_every_option_reaches_its_setting(
    command: str,
    option: str,
    paths: dict[str, str],
    results: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    for i, case in enumerate(FLAGS[command][option]):
        for slow in SLOW:
            if slow != case.function:
                remembered(monkeypatch, slow, results, f"{slow} {command} {case.fewest} {case.beside}")
        found = []
        for given in ("", option):
            own = {"new": str(tmp_path / f"{i}{given}-new"), "other": str(tmp_path / f"{i}{given}-other")}
            line = words(
                command, case.fewest or FEWEST[command], case.beside, given and f"{given} {case.value}", **paths, **own
            )
            found.append(argument(line, case.function, case.at))
        expected = case.expected.format(**paths, **own) if isinstance(case.expected, str) else case.expected
        assert same(found[1], expected), found[1]
        assert not same(found[0], expected), "the default: the test would not notice"


def test_no_entry_is_of_an_option_that_is_gone() -> None:
    listed = {(command, option) for command, options in FLAGS.items() for option in options}
    assert listed == {tuple(param.values) for param in OPTIONS}
