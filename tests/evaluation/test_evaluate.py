"""Numbers that belong to a class stand under its name, whatever the order of the classes, in every output."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

from bayescope.config import Config, dump_toml
from bayescope.data.dataset import Dataset, ImageSet
from bayescope.errors import ConfigError
from bayescope.evaluation.compare.statistics import compare_observers, measures_of
from bayescope.evaluation.evaluate import Evaluation, Scored, evaluate, measured
from bayescope.inference.model import LikelihoodModel
from bayescope.inference.predictions import Predictions, check_prior
from bayescope.metrics.classification import CLASS_MEASURES
from bayescope.runs.model_file import load_model, save_model
from conftest import Call, Told

N_CANCERS, N_FOUND, N_NORMAL = 12, 2, 6
NAMELESS = "(sensitivity|specificity|PPV|NPV)(?!, )"
Three = tuple[LikelihoodModel, ImageSet, np.ndarray]


class Missed(NamedTuple):
    """A run, and images of which it calls 2 of 12 cancers and no normal one cancer."""

    run: Path
    folder: Path
    names: tuple[str, str]
    """In the order of the model's classes."""


@pytest.fixture(scope="module", params=[("cancer", "benign"), ("normal", "cancer")])
def missed(request: Any, tiny_run: Path, tiny_data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Missed:
    """The model's order is that of the alphabet or not, and cancer its first class or its second."""
    place, names = tmp_path_factory.mktemp("missed"), request.param
    model = replace(load_model(tiny_run), class_names=names)
    save_model(place / "run", model)
    called = model.classify(tiny_data.test.pixels).posterior.argmax(axis=1)
    cancer = names.index("cancer")
    like_cancer, like_normal = (np.flatnonzero(called == k) for k in (cancer, 1 - cancer))
    n_missed = N_CANCERS - N_FOUND
    by_name = {
        "cancer": [*like_cancer[:N_FOUND], *like_normal[:n_missed]],
        names[1 - cancer]: like_normal[n_missed : n_missed + N_NORMAL],
    }
    for name, chosen in by_name.items():
        (place / "set" / name).mkdir(parents=True)
        for i in chosen:
            Image.fromarray(tiny_data.test.pixels[i, 0]).save(place / "set" / name / f"{i}.png")
    return Missed(place / "run", place / "set", names)


def test_missed_cancers_are_no_sensitivity_of_one(cli: Call, missed: Missed, tmp_path: Path) -> None:
    other = next(name for name in missed.names if name != "cancer")
    text = plain(cli("evaluate", missed.run, missed.folder, "--out", tmp_path / "found.json"))
    assert re.search(r"sensitivity, cancer 0\.167 .* 12", text)
    assert re.search(r"specificity, cancer 1\.000 .* 12", text)
    assert len(re.findall("sensitivity,", text)) == 2
    assert not re.search(NAMELESS, text)
    told = json.loads((tmp_path / "found.json").read_text())
    assert told["by_class"]["cancer"]["images"] == 12
    values = {name: {what: row[what]["value"] for what in CLASS_MEASURES} for name, row in told["by_class"].items()}
    assert values["cancer"]["sensitivity"] == pytest.approx(2 / 12)
    assert values["cancer"]["specificity"] == 1
    assert values["cancer"]["PPV"] == pytest.approx(1)
    assert values["cancer"]["NPV"] == pytest.approx(1 / (1 + 10 / 12))  # at prevalence 0.5
    assert values[other]["sensitivity"] == 1
    assert values[other]["specificity"] == pytest.approx(2 / 12)
    assert told["confusion"] == {"cancer": {"cancer": 2, other: 10}, other: {"cancer": 0, other: 6}}
    assert told["prevalence"] == {"cancer": 0.5, other: 0.5}
    assert not {"sensitivity", "specificity", "PPV", "NPV"} & set(told["measures"])
    assert set(told["trust"]) == {"cancer", other}


@pytest.mark.parametrize("missed", [("normal", "cancer")], indirect=True)
def test_the_headline_is_of_the_positive_class(cli: Call, missed: Missed) -> None:
    text = plain(cli("evaluate", missed.run, missed.folder, "--positive", "cancer"))
    assert re.findall("sensitivity, ([^ ]+) ([^ ]+)", text) == [("cancer", "0.167")]
    assert "cancer against the rest" in text
    assert not re.search(NAMELESS, text)
    refused = cli("evaluate", missed.run, missed.folder, "--positive", "1")
    assert (refused.code, "--positive 1; expected one of the classes: normal, cancer" in refused.err) == (2, True)


@pytest.mark.slow
@pytest.mark.parametrize("missed", [("normal", "cancer")], indirect=True)
def test_the_report_names_the_class_and_says_odds_after(cli: Call, missed: Missed, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert cli("report", missed.run, "--data", missed.folder, "--out", page, "--positive", "cancer").code == 0
    text = page.read_text()
    assert re.search(r"<span>sensitivity, cancer</span><b>0\.167</b>", text)
    assert re.search(r"<span>specificity, cancer</span><b>1\.000</b>", text)
    assert re.search(r"<td>cancer \(positive\)</td><td>12</td><td>[^<]*</td><td>0\.167 ", text)
    assert '"first": 1' in text
    assert " ".join(text.split()).count("prevalence normal 0.5, cancer 0.5.") == 2
    assert "Odds after the image = odds before × likelihood ratio; probability = odds / (1 + odds)" in text
    assert "Probability after the image =" not in text


@pytest.mark.slow
@pytest.mark.parametrize("missed", [("normal", "cancer")], indirect=True)
def test_prevalence_is_given_by_name_and_repeated(cli: Call, missed: Missed) -> None:
    picture = next((missed.folder / "normal").iterdir())
    for text in ("cancer=0.01,normal=0.99", "normal=0.99, cancer=0.01", "0.99,0.01"):
        told = cli("classify", missed.run, picture, "--json", "--no-novelty", "--prevalence", text)
        record = json.loads(told.out)
        assert record["prevalence"] == pytest.approx({"cancer": 0.01, "normal": 0.99})
        assert (record["class"], "prevalence: normal 0.99, cancer 0.01" in told.err) == ("normal", True)
    options = ("--prevalence", "cancer=0.01,normal=0.99")
    assert "at prevalence normal 0.99, cancer 0.01" in plain(cli("classify", missed.run, picture, *options))
    told = cli("evaluate", missed.run, missed.folder, "--out", missed.run / "found.json", "--force", *options)
    assert "predictive values at prevalence normal 0.99, cancer 0.01" in plain(told)
    found = json.loads((missed.run / "found.json").read_text())
    assert found["prevalence"] == pytest.approx({"cancer": 0.01, "normal": 0.99})


def plain(told: Told) -> str:
    """What was printed, without the lines of tables, on one line."""
    return re.sub(r"[\s│┃┏┓┗┛└┘├┤┬┴┼─━┡┩┳┻╇]+", " ", told.out)


@pytest.fixture(scope="module")
def three(tiny_run: Path) -> Three:
    """Posteriors of three classes, patients of two images, and a model that has not been calibrated."""
    rng = np.random.default_rng(0)
    model = load_model(tiny_run)
    names, labels = ("cyst", "mass", "normal"), np.arange(30) % 3
    posterior = rng.dirichlet(np.ones(3), 30)
    posterior[np.arange(30), labels] += 0.4
    posterior /= posterior.sum(axis=1, keepdims=True)
    images = ImageSet(
        np.zeros((30, 1, 8, 12), np.uint8), labels, names, tuple(map(str, range(30))), tuple(str(i // 2) for i in range(30))
    )
    return replace(model, class_names=names).with_post_hoc(decisions=None), images, posterior


def found_in(three: Three, order: list[int]) -> Evaluation:
    """The evaluation of the same predictions with the classes in another order."""
    model, images, posterior = three
    names = tuple(images.class_names[k] for k in order)
    prior = check_prior({"cyst": 0.2, "mass": 0.1, "normal": 0.7}, names)
    labels = np.argsort(order)[images.labels]
    log_posterior = np.log(posterior[:, order])
    ratio = log_posterior - np.log1p(-posterior[:, order]) - np.log(prior / (1 - prior))
    nothing = np.zeros_like(ratio)
    predictions = Predictions(
        log_posterior, log_posterior, ratio, nothing, nothing, ratio, prior, np.ones(len(labels), np.int64), calibrated=False
    )
    ordered = replace(images, labels=labels, class_names=names)
    calibration = replace(model.calibration, images=tuple(model.calibration.images[0] for _ in names))
    named = replace(model, class_names=names).with_post_hoc(calibration=calibration)
    return measured([Scored(named, ordered, predictions)], "mass")


@pytest.fixture(scope="module")
def reordered(three: Three) -> Evaluation:
    return found_in(three, [2, 0, 1])


def flat(value: Any, path: str = "") -> dict[str, float]:
    """All numbers by their path."""
    if isinstance(value, dict):
        return {name: number for key, inner in value.items() for name, number in flat(inner, f"{path}/{key}").items()}
    return {path: float(value)} if isinstance(value, (int, float)) else {}


@pytest.mark.slow
def test_no_number_depends_on_the_order_of_the_classes(three: Three, reordered: Evaluation) -> None:
    first, second = (flat(found.to_dict()) for found in (found_in(three, [0, 1, 2]), reordered))
    assert set(first) == set(second)
    assert len(first) > 100
    for name, value in first.items():
        assert second[name] == pytest.approx(value, rel=1e-6, abs=1e-9, nan_ok=True), name


def test_each_of_several_classes_is_measured_against_the_rest(three: Three, reordered: Evaluation) -> None:
    (_, images, posterior), found = three, reordered
    called = posterior.argmax(axis=1)
    for k, name in enumerate(images.class_names):
        rows, positive = found.by_class[name], images.labels == k
        assert rows["sensitivity"].value == pytest.approx((called[positive] == k).mean())
        assert rows["specificity"].value == pytest.approx((called[~positive] != k).mean())
        assert rows["sensitivity"].low <= rows["sensitivity"].value <= rows["sensitivity"].high
        assert found.confusion[name] == {
            other: int((called[positive] == j).sum()) for j, other in enumerate(images.class_names)
        }
    shares = np.array([found.prevalence[name] for name in images.class_names])
    rates = np.array([[(called[images.labels == k] == j).mean() for j in range(3)] for k in range(3)])
    assert found.prevalence == pytest.approx({"cyst": 0.2, "mass": 0.1, "normal": 0.7})
    assert found.by_class["mass"]["PPV"].value == pytest.approx(shares[1] * rates[1, 1] / (shares @ rates[:, 1]))
    told = found.to_dict()
    assert (told["positive"], told["classes"], told["patients"]) == ("mass", ["normal", "cyst", "mass"], 15)


def test_prevalence_and_positive_class_in_python(tiny_run: Path, tiny_data: Dataset) -> None:
    model = load_model(tiny_run)
    few = tiny_data.test.subset(range(8))
    by_name = evaluate(model, few, {"lower": 0.9, "upper": 0.1}, positive="lower")
    in_order = model.classify(few.pixels, [0.1, 0.9])
    assert by_name.prevalence == pytest.approx({"upper": 0.1, "lower": 0.9})
    assert by_name.positive == "lower"
    np.testing.assert_array_equal(by_name.predictions.posterior, in_order.posterior)
    with pytest.raises(ConfigError, match="--positive cancer; expected one of the classes: upper, lower"):
        evaluate(model, few, positive="cancer")
    with pytest.raises(ConfigError, match="expected one for each of: upper, lower"):
        evaluate(model, few, {"upper": 0.1})


def test_compare_names_the_class_of_each_sensitivity(
    cli: Call, tiny_data: Dataset, tiny_config: Config, tmp_path: Path
) -> None:
    for split, n in (("train", 20), ("val", 10), ("test", 10)):
        images = getattr(tiny_data, split)
        for i in range(n):
            folder = tmp_path / "set" / split / ("cancer", "normal")[images.labels[i]]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(images.pixels[i, 0]).save(folder / f"{i}.png")
    (tmp_path / "c.toml").write_text(dump_toml(tiny_config))
    command: tuple[object, ...] = (
        "compare",
        tmp_path / "set",
        "--out",
        tmp_path / "out",
        "--config",
        tmp_path / "c.toml",
        "--steps",
        2,
    )
    command += ("--networks", "", "--seeds", 0)
    cancer, normal = (f"sensitivity, {name}, at 90 % specificity" for name in ("cancer", "normal"))
    for options, shown, absent in (((), [cancer, normal], []), (("--positive", "cancer"), [cancer], [normal])):
        (row,) = json.loads(cli(*command, *options, "--json").out)["rows"]
        texts = [
            *row["scores"]["measures"],
            *((tmp_path / "out" / name).read_text() for name in ("compare.html", "compare.md")),
        ]
        for text in ("\n".join(row["scores"]["measures"]), *texts[-2:]):
            assert all(name in text for name in shown)
            assert not any(name in text for name in absent)
    refused = cli(*command, "--positive", "malignant")
    assert (refused.code, "expected one of the classes: cancer, normal" in refused.err) == (2, True)


@pytest.mark.parametrize(
    ("names", "positive"), [(("a", "b"), None), (("a", "b"), "b"), (("a", "b", "c"), "c"), (("a", "b", "c"), None)]
)
def test_compare_does_not_depend_on_the_order_of_the_classes(names: tuple[str, ...], positive: str | None) -> None:
    rng, n = np.random.default_rng(3), len(names)
    posterior, labels = rng.dirichlet(np.ones(n), 40), np.arange(40) % n
    reverse = list(range(n))[::-1]
    found = [
        compare_observers({"x": p[None]}, y, n_bootstrap=50, measures=measures_of(in_order, positive))["x"].measures
        for p, y, in_order in ((posterior, labels, names), (posterior[:, reverse], n - 1 - labels, names[::-1]))
    ]
    assert set(found[0]) == set(found[1])
    for name, estimate in found[0].items():
        assert found[1][name].value == pytest.approx(estimate.value)
        assert found[1][name].low == pytest.approx(estimate.low)
