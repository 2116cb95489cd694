"""What Bayescope advises, followed: a table of its errors, and for each the situation and the way out of it.

A function decorated with ``@remedy(site, says)`` brings the error about, checks that it is told, follows its advice to the
letter and checks that what was asked for then works.  ``site`` is ``module:function`` within ``bayescope``, methods without
their class; ``says`` a part of the text as it stands in the source, ``{}`` for what is filled in.  Several decorators may stand
over one function.  What no test can follow is in ``NOT_FOLLOWED`` with the reason.  ``test_remedies.py`` holds that both are
complete.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from archives import write_inbreast
from bayescope import ScoreClassifier
from bayescope.config import Config, dump_toml, parse_config, read_config
from bayescope.data.arrays import check_layout
from bayescope.data.dataset import Dataset
from bayescope.data.preparation import cache, journal
from bayescope.data.preparation.mammogram import Preparation
from bayescope.errors import BayescopeError
from bayescope.inference.novelty import NoveltyTest
from bayescope.inference.trust_tests import TRUST_TESTS
from bayescope.runs.files import CONFIG, MANIFEST, MODEL, STATE, load_tensors, save_tensors
from bayescope.runs.model_file import load_model
from conftest import Told, stripes, write_npz
from mammograms import mammogram

SMALL = {"steps": 2, "batch_size": 8, "widths": (8, 8), "levels": 2, "noises": 2, "calibration_augmentation": 0.0}


@dataclass
class Place:
    """Where a remedy is tried: a free folder, small inputs that work, and the two things that may come of a command."""

    folder: Path
    call: Callable[..., Told]
    trained: Path
    npz: Path
    config: Config
    data: Dataset
    prepared: Path
    patch: pytest.MonkeyPatch
    told: list[str] = field(default_factory=list)

    @property
    def run(self) -> Path:
        """A copy of a trained run, to be spoilt; the same at every call."""
        copy = self.folder / "run"
        return copy if copy.exists() else Path(shutil.copytree(self.trained, copy))

    @property
    def toml(self) -> Path:
        path = self.folder / "config.toml"
        path.write_text(dump_toml(self.config))
        return path

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def picture(self, name: str = "a.png", pixels: Any = None) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(self.data.test.pixels[0, 0] if pixels is None else pixels).save(path)
        return path

    def class_folders(self, per_class: int = 30, side: int = 16) -> Path:
        """Noise, brighter in class b."""
        rng, folder = np.random.default_rng(0), self.folder / "set"
        for k, name in enumerate("ab"):
            for i in range(per_class):
                self.picture(f"set/{name}/{i}.png", (rng.integers(0, 150, (side, side)) + 90 * k).astype(np.uint8))
        return folder

    def table(self, **columns: Any) -> Path:
        """A case table of ten pictures of each class in each split."""
        rows = [
            {"path": f"t/{i}.png", "label": "ab"[i % 2], "split": split}
            for split, start in (("train", 0), ("val", 20), ("test", 40))
            for i in range(start, start + 20)
        ]
        if not (self.folder / "t").exists():
            for i, row in enumerate(rows):
                self.picture(str(row["path"]), np.full((8, 8), 40 + i, np.uint8) + np.arange(8, dtype=np.uint8))
        table = pd.DataFrame(rows).assign(**columns)
        table.to_csv(self.folder / "cases.csv", index=False)
        return self.folder / "cases.csv"

    def train(self, data: Path | None = None, *options: object) -> tuple[object, ...]:
        """The words of a training of two steps into ``out``."""
        return ("train", data or self.npz, "--out", self.out, "--config", self.toml, "--steps", 2, *options)

    def prepare(self, source: Path | None = None, *options: object) -> tuple[object, ...]:
        source = source or (self.folder / "set" if (self.folder / "set").exists() else self.class_folders())
        return ("prepare", "folder", source, "--out", self.out, "--size", 8, "--workers", 1, *options)

    def refused(self, *words: object, code: int = 2) -> str:
        """The error of a command that has to fail; nothing but what was asked for may change."""
        told = self.call(*words)
        assert told.code == code, (words, told)
        self.told.append(told.err)
        return told.err

    def works(self, *words: object) -> Told:
        told = self.call(*words)
        assert told.code == 0, (words, told)
        return told

    def raises(self, do: Callable[[], object]) -> None:
        with pytest.raises(BayescopeError) as raised:
            do()
        self.told.append(str(raised.value))


Follow = Callable[[Place], None]
REMEDIES: dict[tuple[str, str], Follow] = {}


def remedy(site: str, says: str) -> Callable[[Follow], Follow]:
    """Register a function that follows the advice of the error at ``site`` that ``says`` this."""

    def register(follow: Follow) -> Follow:
        assert (site, says) not in REMEDIES
        REMEDIES[site, says] = follow
        return follow

    return register


# --- Run folders -------------------------------------------------------------------------------------------------------------


@remedy("runs.files:_opened", "cannot be read")
def model_damaged(p: Place) -> None:
    whole = (p.run / MODEL).read_bytes()
    (p.run / MODEL).write_bytes(whole[:100])
    p.refused("evaluate", p.run, p.npz)
    p.works("train", p.npz, "--out", p.run, "--config", p.toml, "--steps", 2, "--force")
    p.works("evaluate", p.run, p.npz)
    (p.run / MODEL).write_bytes(whole)
    p.works("evaluate", p.run, p.npz)


@remedy("runs.model_file:_check_trained", "expected a run folder written by")
def model_missing(p: Place) -> None:
    p.works(*p.train())
    (p.out / MODEL).unlink()
    assert "train … --resume" in p.refused("evaluate", p.out, p.npz)
    p.works("train", p.npz, "--out", p.out, "--resume")
    p.works("evaluate", p.out, p.npz)


@remedy("runs.model_file:_about", "not written by Bayescope")
def model_of_another(p: Place) -> None:
    save_tensors(p.run / MODEL, load_tensors(p.run / MODEL)[0])
    p.refused("evaluate", p.run, p.npz)
    p.works("train", p.npz, "--out", p.run, "--config", p.toml, "--steps", 2, "--force")
    p.works("evaluate", p.run, p.npz)


@remedy("runs.model_file:_consistent", "does not fit")
def config_of_another(p: Place) -> None:
    own = (p.run / CONFIG).read_bytes()
    (p.run / CONFIG).write_text(dump_toml(parse_config({"net": {"widths": [16, 16]}})))
    p.refused("evaluate", p.run, p.npz)
    (p.run / CONFIG).write_bytes(own)
    p.works("evaluate", p.run, p.npz)
    (p.run / CONFIG).write_text(dump_toml(parse_config({"net": {"widths": [16, 16]}})))
    p.works("train", p.npz, "--out", p.run, "--config", p.toml, "--steps", 2, "--force")
    p.works("evaluate", p.run, p.npz)


@remedy("runs.model_file:check_format", "this version of Bayescope reads format")
def run_of_another_version(p: Place) -> None:
    manifest = json.loads((p.run / MANIFEST).read_text())
    (p.run / MANIFEST).write_text(json.dumps(manifest | {"format": 1}))
    p.refused("train", p.npz, "--out", p.run, "--resume")
    p.works("train", p.npz, "--out", p.run, "--config", p.toml, "--steps", 2, "--force")


@remedy("runs.files:read_json", "expected a file that Bayescope wrote")
def manifest_damaged(p: Place) -> None:
    (p.run / MANIFEST).write_text("{")
    p.refused("train", p.npz, "--out", p.run, "--resume")
    p.works(*p.train())


@remedy("runs.folder:check_run", "exists already; give another --out, --resume to continue it, or --force to replace it")
def run_exists(p: Place) -> None:
    p.works(*p.train())
    p.refused(*p.train())
    p.works(*p.train(None, "--resume"))
    p.works(*p.train(None, "--force"))
    p.works("train", p.npz, "--out", p.folder / "other", "--config", p.toml, "--steps", 2)


@remedy("runs.folder:check_run", "exists and is no run folder")
def not_a_run(p: Place) -> None:
    p.out.mkdir()
    (p.out / "thesis.txt").write_text("precious")
    p.refused(*p.train(None, "--force"))
    p.works("train", p.npz, "--out", p.folder / "other", "--config", p.toml, "--steps", 2)


@remedy("runs.folder:started_steps", "has no step")
def state_of_another(p: Place) -> None:
    p.works(*p.train())
    save_tensors(p.out / STATE, {})
    p.refused("train", p.npz, "--out", p.out, "--resume")
    p.works(*p.train(None, "--force"))


@remedy("training.state:restore", "training state of another model")
def state_of_another_network(p: Place) -> None:
    p.works(*p.train())
    tensors, _ = load_tensors(p.out / STATE)
    (p.out / MODEL).unlink()
    save_tensors(p.out / STATE, {"step": tensors["step"]})
    p.refused("train", p.npz, "--out", p.out, "--resume")
    p.works(*p.train(None, "--force"))


@remedy("runs.folder:_check_same_run", "now asked to continue with")
def other_data(p: Place) -> None:
    p.works(*p.train())
    other = write_npz(p.folder / "other.npz", Dataset(stripes(40, 7), stripes(20, 8), stripes(20, 9), source="x"))
    p.refused("train", other, "--out", p.out, "--resume")
    p.works("train", p.npz, "--out", p.out, "--resume")
    p.works("train", other, "--out", p.folder / "new", "--config", p.toml, "--steps", 2)


@remedy("runs.folder:_check_same_run", "was started with another configuration of")
def other_configuration(p: Place) -> None:
    p.works(*p.train())
    p.refused("train", p.npz, "--out", p.out, "--resume", "--seed", 3)
    p.works("train", p.npz, "--out", p.out, "--resume", "--config", p.out / CONFIG, "--levels", 3)
    p.works("train", p.npz, "--out", p.folder / "new", "--config", p.toml, "--steps", 2, "--seed", 3)


@remedy("inference.decisions:from_dict", "decisions cannot be read")
@remedy("inference.novelty:from_dict", "novelty test cannot be read")
def fitted_parts_damaged(p: Place) -> None:
    p.works(*p.train())
    for part in ("decisions", "novelty"):
        tensors, metadata = load_tensors(p.out / MODEL)
        about = json.loads(metadata["bayescope"])
        place = about if about.get(part) else about["post_hoc"]
        place[part] = {"broken": 1}
        save_tensors(p.out / MODEL, tensors, {"bayescope": json.dumps(about)})
        assert "cannot be read" in p.refused("evaluate", p.out, p.npz)
        p.works("train", p.npz, "--out", p.out, "--resume")
        p.works("evaluate", p.out, p.npz)


@remedy("inference.post_hoc:from_dict", "before the model is loaded, or train it again with --force")
def trust_test_unknown(p: Place) -> None:
    p.patch.setitem(TRUST_TESTS, "toy", NoveltyTest)
    p.works(*p.train())
    p.patch.delitem(TRUST_TESTS, "toy")
    p.refused("evaluate", p.out, p.npz)
    p.patch.setitem(TRUST_TESTS, "toy", NoveltyTest)
    p.works("evaluate", p.out, p.npz)
    p.patch.delitem(TRUST_TESTS, "toy")
    p.works(*p.train(), "--force")
    p.works("evaluate", p.out, p.npz)


@remedy("errors:writing", "cannot be written")
def not_writable(p: Place) -> None:
    p.out.write_text("a file")
    p.refused("explain", p.trained, p.picture(), "--out", p.out / "why")
    p.works("explain", p.trained, p.picture(), "--out", p.folder / "why")


@remedy("errors:reading", "cannot be reached")
def not_reachable(p: Place) -> None:
    p.refused("evaluate", p.trained, p.folder / ("x" * 300))
    p.works("evaluate", p.trained, p.npz)


# --- The command line --------------------------------------------------------------------------------------------------------


@remedy("cli.output:check_free", "exists already; give --force to replace it, or another --out")
def output_exists(p: Place) -> None:
    target = p.folder / "s.png"
    words = ("sample", p.trained, "--per-class", 1, "--steps", 1, "--out")
    p.works(*words, target)
    p.refused(*words, target)
    p.works(*words, target, "--force")
    p.works(*words, p.folder / "t.png")


@remedy("runs.folder:training_data", "does not record where its data")
def report_without_data(p: Place) -> None:
    p.refused("report", p.run)
    p.works("report", p.run, "--data", p.npz)


@remedy("inference.explain:_class_number", "expected one of:")
@remedy("inference.explain:explain", "that is the most probable class itself; expected one of:")
def explain_against(p: Place) -> None:
    words = ("explain", p.trained, p.picture(), "--out", p.out, "--against")
    p.refused(*words, "left")
    p.refused(*words, "upper")
    p.works(*words, "lower")


@remedy("cli.options:_bare", "expected numbers separated by commas, e.g. {}")
@remedy("inference.predictions:check_prior", "prevalences; expected")
@remedy("inference.predictions:check_prior", "expected positive numbers that sum to 1")
def prevalences(p: Place) -> None:
    words = ("evaluate", p.trained, p.npz, "--prevalence")
    for wrong in ("a,b", "0.5,0.2,0.3", "0.5,0.6"):
        p.refused(*words, wrong)
    p.works(*words, "0.9,0.1")


@remedy("cli.compare:_several", "expected numbers separated by commas, e.g. 0,1")
@remedy("evaluation.compare.run:plan", "expected shares of the training images above 0")
@remedy("evaluation.compare.run:plan", "expected one or more of each, seeds from 0")
@remedy("evaluation.compare.networks:find_network", "expected one or more of")
def compare_lists(p: Place) -> None:
    words = ("compare", p.npz, "--out", p.out, "--config", p.toml, "--steps", 2)
    p.refused(*words, "--networks", "", "--seeds", "a")
    p.refused(*words, "--networks", "", "--fractions", "0,1")
    p.refused(*words, "--networks", "", "--seeds", "")
    p.refused(*words, "--networks", "resnet999")
    p.works(*words, "--networks", "", "--seeds", "0,1", "--fractions", "0.5,1")


@remedy("evaluation.compare.run:_kept", "was measured on other data or with other settings")
def compared_otherwise(p: Place) -> None:
    words = ("compare", p.npz, "--config", p.toml, "--networks", "", "--seeds", 0)
    p.works(*words, "--steps", 2, "--out", p.out)
    p.refused(*words, "--steps", 3, "--out", p.out)
    p.works(*words, "--steps", 2, "--out", p.out)
    p.works(*words, "--steps", 3, "--out", p.folder / "other")
    p.works(*words, "--steps", 3, "--out", p.out, "--force")
    next((p.out / "results").iterdir()).write_text("{")
    assert "Give --force to measure again" in p.refused(*words, "--steps", 3, "--out", p.out)
    p.works(*words, "--steps", 3, "--out", p.out, "--force")


@remedy("evaluation.compare.run:compare", "image of class")
def compare_without_a_class(p: Place) -> None:
    labels = p.data.val.labels
    lacking = write_npz(
        p.folder / "l.npz", Dataset(p.data.train, p.data.val.subset(np.flatnonzero(labels == 0)), p.data.test, source="l")
    )
    words = ("--out", p.out, "--config", p.toml, "--steps", 2, "--networks", "", "--seeds", 0)
    p.refused("compare", lacking, *words)
    p.works("compare", p.npz, *words)


@remedy("evaluation.compare.run:_measure", "Give a larger fraction")
def fraction_too_small(p: Place) -> None:
    from bayescope.evaluation.compare import run as module

    p.patch.setattr(module, "share_of", lambda images, fraction, seed: images.subset(range(0, len(images), 2)[:20]))
    words = ("compare", p.npz, "--out", p.out, "--config", p.toml, "--steps", 2, "--networks", "", "--seeds", 0)
    p.refused(*words, "--fractions", 0.1)
    p.patch.undo()
    p.works(*words, "--fractions", 0.5)


@remedy("cli.main:_check_folder", "the current folder cannot be used")
def folder_deleted(p: Place) -> None:
    gone = p.folder / "gone"
    gone.mkdir()
    p.patch.chdir(gone)
    gone.rmdir()
    p.refused("--version")
    p.patch.chdir(p.folder)
    p.works("--version")


@remedy("diffusion.device:open_fabric", "Give another device")
def no_device(p: Place) -> None:
    p.refused("evaluate", p.trained, p.npz, "--device", "abacus")
    for device in ("auto", "cpu"):
        p.works("evaluate", p.trained, p.npz, "--device", device)


@remedy("training.loop:divergence_error", "training diverged")
def diverging(p: Place) -> None:
    toml = p.folder / "fast.toml"
    fast = p.config.model_copy(update={"training": p.config.training.model_copy(update={"learning_rate": 1e30})})
    toml.write_text(dump_toml(fast))
    p.refused("train", p.npz, "--out", p.out, "--config", toml)
    toml.write_text(toml.read_text().replace("1e+30", "1e-3"))
    assert read_config(toml).training.learning_rate == 1e-3
    p.works("train", p.npz, "--out", p.out, "--config", toml, "--steps", 2, "--force")


@remedy("config.toml_file:read_section", "expected a TOML configuration file")
@remedy("config.toml_file:read_section", "not valid TOML")
@remedy("config.toml_file:read_section", "{}:\n{}")
@remedy("config.toml_file:parse_section", "")
@remedy("errors:lookup", "")
@remedy("fitting.words:check_words", "")
def configuration(p: Place) -> None:
    toml = p.folder / "c.toml"
    words = ("train", p.npz, "--out", p.out, "--steps", 2, "--config", toml)
    p.refused(*words)
    good = dump_toml(p.config)
    for wrong in (
        good.replace("=", ":"),
        good + "colour = 1\n",
        good.replace("batch_size = 8", "batch_size = 0"),
        good.replace('"fast"', '"slow"'),
    ):
        toml.write_text(wrong)
        p.refused(*words)
    toml.write_text(good)
    p.works(*words)


@remedy("evidence.sequential:check_stopping_settings", "expected at least 0 (score in full) and below 1")
@remedy("evidence.sequential:check_stopping_settings", "one pass for each class")
def knobs(p: Place) -> None:
    words = ("evaluate", p.trained, p.npz)
    p.refused(*words, "--disagreement-rate", 1)
    p.refused(*words, "--max-passes", 1)
    p.works(*words, "--disagreement-rate", 0.01, "--max-passes", 2)


@remedy("inference.model:_refuse_budget", "this model cannot stop early")
def no_early_stop(p: Place) -> None:
    words = ("train", p.npz, "--config", p.toml, "--steps", 2)
    few = write_npz(p.folder / "few.npz", Dataset(p.data.train, stripes(4, 2), p.data.test, source="few"))
    p.works("train", few, "--config", p.toml, "--steps", 2, "--out", p.out)
    p.refused("evaluate", p.out, p.npz, "--max-passes", 8)
    p.works("evaluate", p.out, p.npz)
    p.works(*words, "--out", p.folder / "more")
    assert read_config(p.folder / "more" / CONFIG).evidence.calibration == "affine"
    p.works("evaluate", p.folder / "more", p.npz, "--max-passes", 8)


# --- Arrays in Python --------------------------------------------------------------------------------------------------------


def fitted(p: Place, X: Any = None, **options: Any) -> ScoreClassifier:
    x = p.data.train.pixels if X is None else X
    return ScoreClassifier(**(SMALL | {"validation_fraction": 0.0} | options)).fit(x, np.arange(len(x)) % 2)


@remedy("fitting.estimator:labelled_classes", "y contains one class only")
@remedy("data.splits:hold_out", "expected at least 0 and below 1")
def estimator(p: Place) -> None:
    x = p.data.train.pixels
    p.raises(lambda: ScoreClassifier(**SMALL).fit(x, np.zeros(len(x))))
    p.raises(lambda: fitted(p, validation_fraction=1.5))
    fitted(p, validation_fraction=0.3)


@remedy("data.arrays:_check_channels", "looks channels last")
@remedy("data.arrays:_check_declared", "looks channels last")
@remedy("data.arrays:_check_declared", "each at least 1. Give these three")
def channels_last(p: Place) -> None:
    first = stripes(20, 1, (3, 8, 12)).pixels
    last = np.moveaxis(first, 1, -1)
    p.raises(lambda: fitted(p, last))
    fitted(p, np.moveaxis(last, -1, 1))
    p.raises(lambda: fitted(p, last.reshape(20, -1), image_shape=(8, 12, 3)))
    p.raises(lambda: fitted(p, last.reshape(20, -1), image_shape=(8, 36)))
    fitted(p, np.moveaxis(last, -1, 1).reshape(20, -1), image_shape=(3, 8, 12))


@remedy("data.arrays:_check_channels", "looks like")
@remedy("data.arrays:check_layout", "Give one slice of each volume")
def volumes(p: Place) -> None:
    X = np.random.default_rng(0).integers(0, 255, (20, 6, 8, 12), dtype=np.uint8)
    p.raises(lambda: fitted(p, X))
    assert "X[:, 3]" in p.told[-1]
    fitted(p, X[:, 3])
    assert "set image_shape=(6, 8, 12)" in p.told[-1]
    fitted(p, X, image_shape=(6, 8, 12))
    p.raises(lambda: fitted(p, X[:, None]))
    fitted(p, X[:, None][:, 0, 3])


@remedy("data.arrays:check_layout", "features a row; image_shape")
@remedy("data.arrays:_refuse_undeclared", "Give images of this shape")
def declared_otherwise(p: Place) -> None:
    rows = p.data.train.pixels.reshape(60, -1)
    p.raises(lambda: fitted(p, rows, image_shape=(1, 8, 13)))
    fitted(p, rows, image_shape=(1, 8, 12))
    p.raises(lambda: fitted(p, p.data.train.pixels, image_shape=(1, 12, 8)))
    fitted(p, p.data.train.pixels, image_shape=(1, 8, 12))


@remedy("data.arrays:_check_pictures", "or one colour image")
def one_colour_image(p: Place) -> None:
    classifier = fitted(p, stripes(20, 1, (3, 8, 12)).pixels)
    image = np.moveaxis(stripes(1, 1, (3, 8, 12)).pixels[0], 0, -1)
    p.raises(lambda: check_layout(image.shape))
    classifier.predict(np.moveaxis(image, -1, 0)[None])
    narrow = np.random.default_rng(0).integers(0, 255, (20, 8, 3), dtype=np.uint8)
    p.raises(lambda: fitted(p, narrow))
    fitted(p, narrow, image_shape=(1, 8, 3))


@remedy("data.arrays:stacked", "Resize them to one size first")
def several_sizes(p: Place) -> None:
    images = [np.zeros((8, 12), np.uint8)] * 10 + [np.ones((16, 24), np.uint8)] * 10
    p.raises(lambda: fitted(p, images))
    fitted(p, [np.array(Image.fromarray(image).resize((12, 8))) for image in images])


@remedy("data.units:_check_numbers", "floats of")
@remedy("data.units:_check_numbers", "without standardising them")
@remedy("data.units:in_training_units", "Bring them to the units of the training images")
def other_units(p: Place) -> None:
    x = p.data.train.pixels
    classifier = fitted(p)
    expected = classifier.predict_proba(x)
    p.raises(lambda: classifier.predict(x / 255))
    np.testing.assert_array_equal(classifier.predict_proba((x / 255 * 255).round().astype(np.uint8)), expected)
    p.raises(lambda: classifier.predict((x - x.mean()) / x.std()))
    classifier.predict(x)
    of_floats = fitted(p, x / 255)
    p.raises(lambda: of_floats.predict(x))
    of_floats.predict(x / 255)


@remedy("data.pixel_scale:as_stored", "whose values mean something else")
def other_type(p: Place) -> None:
    x = p.data.train.pixels
    classifier = fitted(p)
    p.raises(lambda: classifier.predict(x.astype(np.uint16)))
    classifier.predict(x.astype(np.uint16).astype(np.uint8))
    fitted(p, x.astype(np.uint16)).predict(x.astype(np.uint16))


@remedy("inference.model_units:to_model_units", "Resize or convert them, or train a model for this shape")
@remedy("inference.model_units:to_model_units", "pixels that are NaN or infinite")
def model_arrays(p: Place) -> None:
    model, x = load_model(p.trained), p.data.test.pixels[:3]
    p.raises(lambda: model.classify(x[:, :, :, :6]))
    model.classify(x)
    spoilt = x.astype(np.float32)
    spoilt[1, 0, 0, 0] = np.nan
    p.raises(lambda: model.classify(spoilt))
    model.classify(spoilt[[0, 2]])


# --- Data sets ---------------------------------------------------------------------------------------------------------------


@remedy("data.dataset:check_labels", "one class only")
@remedy("data.dataset:check_labels", "no training image of class")
def classes_without_images(p: Place) -> None:
    table = p.table(label="a")
    p.refused(*p.train(table))
    p.works(*p.train(p.table()))
    shutil.rmtree(p.out)
    labels = ["ab"[i % 2] if i >= 20 else "a" for i in range(60)]
    p.refused(*p.train(p.table(label=labels)))
    p.works(*p.train(p.table()))


def spoilt_npz(p: Place, **arrays: Any) -> Path:
    path = p.folder / "spoilt.npz"
    with np.load(p.npz) as file:
        np.savez(path, **({key: file[key] for key in file.files} | arrays))
    return path


@remedy("data.formats.medmnist:read_npz", "expected one label per image. Write the file again")
@remedy("data.formats.medmnist:read_npz", "expected one shape and type. Write the file again")
@remedy("data.formats.medmnist:_arrays", "not a readable .npz file")
@remedy("data.formats.medmnist:_arrays", "Give a MedMNIST file")
@remedy("data.formats.medmnist:as_pixels", "Give a file of flat grayscale or RGB images")
@remedy("data.formats.medmnist:as_pixels", "expected 8 or 16 bit integers or floats. Convert them")
@remedy("data.formats.medmnist:as_pixels", "NaN or infinite pixels")
@remedy("data.formats.medmnist:_labels", "expected one label per image, (n,) or (n, 1)")
@remedy("data.formats.medmnist:_labels", "expected whole numbers 0, 1, … Number the classes")
@remedy("data.formats.medmnist:_labels", "Number the classes from 0")
@remedy("data.formats.medmnist:_count_classes", "Add training images, or renumber the classes")
def medmnist(p: Place) -> None:
    x, y = p.data.train.pixels[:, 0], p.data.train.labels
    nan = x.astype(np.float32)
    nan[3] = np.nan
    wrong: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"train_labels": y[:-1]}, {"train_labels": y}),
        ({"val_images": p.data.val.pixels[:, 0].astype(np.uint16)}, {"val_images": p.data.val.pixels[:, 0]}),
        ({"train_images": np.zeros((60, 4, 8, 12, 3))}, {"train_images": x}),
        ({"train_images": x.astype(complex)}, {f"{s}_images": getattr(p.data, s).pixels[:, 0] / 255 for s in SETS}),
        ({"train_images": nan}, {"train_images": x}),
        ({"train_labels": np.eye(2)[y]}, {"train_labels": np.eye(2)[y].argmax(axis=1)}),
        ({"train_labels": y + 0.5}, {"train_labels": y}),
        ({"train_labels": y - 1}, {"train_labels": y - 1 + 1}),
        ({"train_labels": y + 1}, {"train_labels": y + 1 - 1}),
    ]
    for bad, good in wrong:
        p.refused(*p.train(spoilt_npz(p, **bad)))
        p.works(*p.train(spoilt_npz(p, **good)))
        shutil.rmtree(p.out)
    broken = p.folder / "broken.npz"
    broken.write_bytes(p.npz.read_bytes()[:500])
    p.refused(*p.train(broken))
    shutil.copy(p.npz, broken)
    p.works(*p.train(broken, "--force"))
    np.savez(broken, images=x)
    p.refused(*p.train(broken))
    p.works(*p.train(p.npz, "--force"))


SETS = ("train", "val", "test")


@remedy("data.load:_checked", "no such file or folder")
@remedy("data.load:_whole", "or a folder. Give one of these")
@remedy("data.load:_whole", "cannot change them")
def sources(p: Place) -> None:
    p.refused(*p.train(p.folder / "nowhere.npz"))
    p.refused(*p.train(p.picture()))
    p.refused(*p.train(p.npz, "--size", 4))
    p.works(*p.train(p.npz))


@remedy("data.preparation.manifest:read_manifest", "preparation has not finished")
@remedy("data.preparation.manifest:read_manifest", "cache of format")
@remedy("data.preparation.manifest:read_manifest", "damaged (")
@remedy("data.preparation.cache:read_cache", "Prepare the images again, with --force")
@remedy("data.preparation.cache:_check_parts", "expected one square of 16 bits")
@remedy("data.preparation.cache:_check_parts", "labels {}; expected")
@remedy("data.preparation.cache:_check_parts", "cases out of order")
@remedy("data.preparation.journal:start", "Use the cache as it is, or give --force to prepare again")
@remedy("data.preparation.journal:check_same", "Give another --out, or --force to prepare again")
def caches(p: Place) -> None:
    words = p.prepare()
    p.works(*words)
    cases, manifest = p.out / cache.CASES, p.out / "cache.json"
    table, about = pd.read_parquet(cases), json.loads(manifest.read_text())
    use = ("train", p.out, "--out", p.folder / "r", "--config", p.toml, "--steps", 2, "--force")

    def rewritten(table: pd.DataFrame) -> Callable[[], object]:
        return lambda: table.to_parquet(cases, index=False)

    def without_manifest() -> None:
        shutil.move(p.out / cache.IMAGES, p.out / cache.PARTIAL)
        manifest.unlink()

    again: dict[Callable[[], object], tuple[str, ...]] = {
        without_manifest: (),
        lambda: manifest.write_text(json.dumps(about | {"format": 0})): ("--force",),
        lambda: manifest.write_text("{"): ("--force",),
        (p.out / cache.IMAGES).unlink: ("--force",),
        rewritten(table[1:]): ("--force",),
        rewritten(table.assign(label="z")): ("--force",),
        rewritten(table[::-1]): ("--force",),
    }
    for spoil, options in again.items():
        spoil()
        p.refused(*use)
        p.works(*words, *options)
        p.works(*use)
    (p.out / journal.PROGRESS).unlink()
    p.refused(*words)
    p.works(*use)
    p.works(*words, "--force")
    p.refused(*words, "--clahe")
    p.works(*words, "--clahe", "--force")
    p.works("prepare", "folder", words[2], "--out", p.folder / "another", "--size", 8, "--workers", 1)


@remedy("data.preparation.journal:start", "expected a new folder. Give another --out")
@remedy("data.preparation.cache:check_replaceable", "exists and is no cache")
def not_a_cache(p: Place) -> None:
    p.out.mkdir()
    (p.out / "thesis.txt").write_text("precious")
    words = p.prepare()
    p.refused(*words)
    p.refused(*words, "--force")
    p.works("prepare", "folder", words[2], "--out", p.folder / "another", "--size", 8, "--workers", 1)


@remedy("data.archives.__init__:read_archive", "expected none for a folder")
@remedy("data.archives.__init__:read_archive", "no --task; expected one")
@remedy("data.archives.__init__:_split", "Add --split folds")
@remedy("data.archives.__init__:read_archive", "archive {}; expected one of {}")
@remedy("data.filesystem.walk:walk", "expected a folder of images. Check the path")
@remedy("data.archives.base:birads_groups", "Group them so")
@remedy("data.archives.base:check_kept", "Check the folder and the task")
@remedy("data.archives.inbreast:read_inbreast", "Give --split folds")
@remedy("data.splits:__post_init__", "expected 2 folds or more")
@remedy("data.splits:__post_init__", "expected 0 to 0.5. Choose another")
@remedy("data.splits:_held_out", "Take fewer folds, or another validation fraction")
def archives(p: Place) -> None:
    p.refused(*p.prepare(None, "--task", "1-3/4-6"))
    p.works(*p.prepare())
    write_inbreast(p.folder / "inbreast", 12)
    words = ("prepare", "inbreast", p.folder / "inbreast", "--out", p.folder / "c", "--size", 8, "--workers", 1)
    task = ("--task", "1-3/4-6")
    p.refused(*words)
    p.refused("prepare", "in-breast", *words[2:], *task)
    p.refused(*words, "--task", "1-3/3-6")
    p.refused(*words, *task, "--split", "official", "--fold", 1)
    p.refused(*words, *task, "--split", "official")
    p.refused(*words, *task, "--fold", 7, "--folds", 5)
    p.refused(*words, *task, "--val-fraction", 0.9)
    p.refused(*words, *task, "--folds", 50)
    p.refused("prepare", "inbreast", p.folder / "nowhere", *words[3:], *task)
    (p.folder / "empty").mkdir()
    shutil.copy(next((p.folder / "inbreast").rglob("INbreast.*")), p.folder / "empty")
    p.refused("prepare", "inbreast", p.folder / "empty", *words[3:], *task)
    p.works(*words, *task, "--split", "folds", "--folds", 2, "--fold", 1, "--val-fraction", 0.3)


@remedy("data.preparation.mammogram:_check", "one value only,")
@remedy("data.preparation.prepare:_check_broken", "or raise --max-broken; what was done is kept")
@remedy("data.preparation.prepare:_check_broken", "files are broken; expected some to be whole")
def broken_files(p: Place) -> None:
    words = p.prepare()
    for i in range(3):
        p.picture(f"set/a/{i}.png", np.full((16, 16), 7, np.uint8))
    p.refused(*words, "--max-broken", 2)
    p.works(*words, "--max-broken", 3)
    for i in range(3):
        (p.folder / f"set/a/{i}.png").unlink()
    told = p.works("prepare", "folder", p.folder / "set", "--out", p.folder / "d", "--size", 8, "--workers", 1)
    assert "left out" not in told.err
    blank = p.folder / "blank"
    for i in range(40):
        p.picture(f"blank/{'ab'[i % 2]}/{i}.png", np.full((16, 16), 7, np.uint8))
    p.refused("prepare", "folder", blank, "--out", p.folder / "e", "--size", 8, "--workers", 1)


@remedy("data.preparation.mammogram:_check", "values that are not finite")
@remedy("data.preparation.mammogram:_check", "Give one grayscale image")
@remedy("data.preparation.mammogram:apply", "one value only in the part kept")
def preparation(p: Place) -> None:
    preparation, image = Preparation(8, False, False), np.arange(256.0).reshape(16, 16)
    p.raises(lambda: preparation.apply(np.where(image > 9, np.inf, image)))
    p.raises(lambda: preparation.apply(image[None]))
    preparation.apply(image)
    breast = mammogram(120, 90, reach=0.5)
    flat, percentiles = np.where(breast > 500, 1000, breast), {"low_percentile": 50, "high_percentile": 100}
    p.raises(lambda: Preparation(32, True, False, **percentiles).apply(flat))
    Preparation(32, False, False, **percentiles).apply(flat)


# --- What no test follows ----------------------------------------------------------------------------------------------------

_ARGUMENT = "an argument of a Python call: the message names what is expected, and its own tests give it"
_DICOM = "tests/data/formats/dicom"
NOT_FOLLOWED: dict[tuple[str, str], str] = {
    **{
        (module, ""): _ARGUMENT
        for module in (
            "diffusion.gaussian",
            "diffusion.schedules",
            "diffusion.ode",
            "diffusion.divergence",
            "evidence.flow",
            "evidence.denoising",
            "evidence.level_weights_fit",
            "metrics.bootstrap",
            "inference.abstention",
            "inference.likelihood",
            "calibration.__init__",
            "calibration.affine",
            "calibration.isotonic",
            "calibration.cross_fit",
        )
    },
    ("data.preparation.mammogram:__post_init__", ""): _ARGUMENT,
    ("data.preparation.mammogram:from_dict", ""): "a cache.json written by hand; data.manifest:read_manifest tells of it",
    ("data.splits:__post_init__", "Choose one of these"): "the command line offers only what is expected",
    ("inference.novelty:fit_novelty", ""): _ARGUMENT,
    ("inference.explain:counterfactual", ""): _ARGUMENT,
    ("inference.explain:explain", "images to explain; expected one"): _ARGUMENT,
    ("evaluation.compare.training:load_network", ""): _ARGUMENT,
    ("dicom.__init__:", ""): "needs an installation without highdicom",
    ("evaluation.compare.networks:load_monai", ""): "needs an installation without MONAI",
    ("cli.output:_printing", ""): "needs a full disk: test_output.py prints to one, and --out keeps what was measured",
    ("data.preparation.workers:_cut_out", ""): "tests/data/archives/test_mias.py",
    (
        "engines.local",
        "",
    ): "needs a process killed by the system: tests/data/preparation/test_journal.py goes on after one",
    ("data.archives.base:find_table", ""): "needs the archive as downloaded",
    ("data.archives.base:read_rows", ""): "needs the archive as downloaded",
    ("data.archives.base:clean_rows", ""): "needs the archive as downloaded",
    ("data.archives.inbreast", ""): "needs the archive as downloaded, or a package removed",
    ("data.archives.mias", ""): "tests/data/archives/test_mias.py",
    ("data.archives.vindr", ""): "needs the archive as downloaded",
    ("data.archives.cbis_ddsm", ""): "needs the archive as downloaded",
    ("data.formats.dicom.limits", ""): _DICOM,
    ("data.formats.images", ""): "tests/data/formats/test_images.py",
    ("data.formats.grayscale", ""): "tests/data/archives/test_image_folder.py",
    ("data.tables.cases", ""): "tests/data/tables/test_cases.py",
    ("data.archives.image_folder", ""): "tests/data/archives/test_image_folder.py",
    (
        "evaluation.selection:images_of_cache",
        "",
    ): "tests/evaluation/test_selection_unseen_images.py, with a cache",
    (
        "data.formats.packed",
        "",
    ): "tests/data/formats: unpacking files is for other programs",
    ("inference.predictions:check_prior", "prevalences of {}; expected one for each"): _ARGUMENT,
    ("data.preparation.mammogram:_with_square_pixels", ""): _DICOM,
    ("data.tables.case_table:_decoded", "cannot be read as a table"): "a table that the system does not let be read",
    ("runs.training_record", ""): "a damaged file of a run folder: train again, as checkpoint:load_tensors says too",
    ("diffusion.denoiser:start_filters", ""): "tests/test_extension.py, with a network that has no stem",
    ("diffusion.nets.backbone", ""): "tests/test_extension.py, with a network that offers less than Bayescope's own",
    ("data.formats.channels", ""): "tests/data/filesystem/test_image_files.py: converting pictures is for other programs",
    ("data.filesystem.decoded_cache", ""): "tests/data/filesystem/test_decoded_cache.py: an environment variable",
    ("data.filesystem.class_folders", ""): "tests/data/filesystem/test_class_folders.py",
    ("data.filesystem.image_files", ""): "tests/data/filesystem/test_image_files.py",
    **{(f"data.formats.dicom.{part}", ""): _DICOM for part in ("__init__", "colour", "file", "header", "values")},
    ("data.unlabelled", ""): "tests/data/test_unlabelled.py",
    ("data.tables.case_table:read_path_table", ""): "tests/data/test_unlabelled.py",
    ("evaluation.adaptation:adapt_run", ""): "tests/evaluation/test_adaptation.py",
    ("data.groups", ""): "tests/evaluation/test_group_evaluation.py",
    ("inference.group_keys:group_keys", ""): "tests/inference/test_group_keys.py",
    ("inference.combine", ""): "tests/inference/test_groups.py",
    ("cli.groups:check_grouping", ""): "tests/inference/test_group_keys.py",
    ("study_classifier:fit", ""): "tests/test_study_classifier.py",
    ("calibration.pooling:from_dict", ""): "tests/calibration/test_pooling.py",
    ("fitting.adapt:_check", ""): "tests/evaluation/test_adaptation.py",
    ("evaluation.prevalence:estimate_prevalence", ""): "tests/evaluation/test_prevalence.py",
    ("evaluation.unlabelled_input:read_site_images", ""): "tests/evaluation/test_prevalence.py",
    ("evaluation.compare.folds:pooled_data", ""): "tests/evaluation/compare/test_compare_folds.py",
    ("evaluation.folds:_check_classes", ""): "tests/evaluation/test_folds.py",
    ("evaluation.folds:check_each_once", ""): "tests/evaluation/test_folds.py",
    ("data.unlabelled:with_blank_labels", ""): "tests/data/test_unlabelled.py",
    ("training.initial:start_from", ""): "tests/training/test_initial.py",
    ("fitting.estimator", ""): "tests/test_classifier_groups.py",
    ("data.arrays:check_layout", "Give an array of images"): _ARGUMENT,
}
"""By ``(module:function, part of the text)`` or ``(module, "")`` for all of a module."""
