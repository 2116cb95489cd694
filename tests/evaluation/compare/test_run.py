"""Compare from end to end: what is kept, what is measured again, what the page and the table say."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayescope.config import Config, dump_toml
from bayescope.data.dataset import Dataset, ImageSet
from bayescope.errors import ConfigError, DataError, RunError
from bayescope.evaluation.compare import run
from bayescope.evaluation.compare.page import markdown, render
from bayescope.evaluation.compare.run import RESULTS, Cell, compare, patient_numbers, plan, share_of
from bayescope.evaluation.compare.summary import summarise
from conftest import Call, stripes


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[Cell]:
    """Cells that were really measured."""
    cells: list[Cell] = []
    original = run._measure

    def spy(data: Dataset, config: Config, cell: Cell, key: str) -> run.Result:
        cells.append(cell)
        return original(data, config, cell, key)

    monkeypatch.setattr(run, "_measure", spy)
    return cells


@pytest.mark.slow
def test_command_line_end_to_end(
    cli: Call, tiny_npz: Path, tiny_config: Config, tmp_path: Path, measured: list[Cell], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "c.toml").write_text(dump_toml(tiny_config))
    out = tmp_path / "deep" / "out"
    base = ("compare", tiny_npz, "--out", out, "--config", tmp_path / "c.toml", "--steps", 6)
    base += ("--networks", "resnet18,vit", "--seeds", "0,1")
    code, text, error = cli(*base, "--json")
    assert code == 0, error
    assert [row["method"] for row in json.loads(text)["rows"]] == ["Bayescope", "ResNet-18", "ViT-Tiny"]
    assert len(measured) == 6
    before = {path.name: path.stat().st_mtime_ns for path in (out / RESULTS).iterdir()}
    (out / RESULTS / "vit-1-1.json").unlink()
    measured.clear()
    code, text, _ = cli(*base, "--fractions", "0.5,1")
    assert code == 0
    assert [cell for cell in measured if cell.fraction == 1] == [Cell("vit", 1, 1.0)]
    assert len(measured) == 7
    after = {path.name: path.stat().st_mtime_ns for path in (out / RESULTS).iterdir()}
    assert {name for name in before if before[name] != after[name]} == {"vit-1-1.json"}
    page, table = (out / "compare.html").read_text(), (out / "compare.md").read_text()
    assert "Learning curve" in page
    assert page.count("<svg") == 2
    assert "http" not in page.replace("http://www.w3.org", "").replace("https://www.w3.org", "")
    assert table.count("| ResNet-18 |") == 2
    measured.clear()
    code, _, error = cli(*base[:-4], "--networks", "resnet18", "--seeds", "0", "--steps", 7)
    assert code == 2
    assert "--force to measure again" in error
    assert not measured
    assert cli(*base[:-4], "--networks", "", "--seeds", "0", "--steps", 7, "--force")[0] == 0
    assert measured == [Cell("bayescope", 0, 1.0)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--networks", "resnet19"), "'resnet19'; expected one or more of resnet18"),
        (("--fractions", "0.5,2"), "[2.0]; expected shares"),
        (("--seeds", "one"), "seeds 'one'; expected numbers"),
        (("--seeds", ""), "expected one or more of each"),
    ],
)
def test_impossible_wishes(cli: Call, tiny_npz: Path, tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    code, _, error = cli("compare", tiny_npz, "--out", tmp_path / "out", *options)
    assert code == 2
    assert message in error
    assert not (tmp_path / "out").exists()


def test_other_data_are_refused_before_anything_is_measured(
    tiny_data: Dataset, tiny_config: Config, tmp_path: Path, measured: list[Cell]
) -> None:
    settings_ = tiny_config.model_copy(update={"training": tiny_config.training.model_copy(update={"steps": 2})})
    compare(tiny_data, settings_, [], [0], [1.0], tmp_path)
    measured.clear()
    other = replace(tiny_data, test=stripes(40, 9))
    with pytest.raises(RunError, match=r"bayescope-1-0\.json: was measured on other data"):
        compare(other, settings_, [], [1, 0], [1.0], tmp_path)
    assert not measured
    lacking = replace(tiny_data, val=tiny_data.val.subset(np.flatnonzero(tiny_data.val.labels == 0)))
    with pytest.raises(DataError, match="no validation image of class lower"):
        compare(lacking, settings_, [], [0], [1.0], tmp_path)


@pytest.mark.slow
def test_three_classes_and_patients(tiny_config: Config, tmp_path: Path) -> None:
    def three(n: int, seed: int) -> ImageSet:
        images = stripes(n, seed)
        labels = np.arange(n) % 3
        pixels = np.where((labels == 2)[:, None, None, None], 255 - images.pixels, images.pixels)
        return replace(
            images, pixels=pixels, labels=labels, class_names=("a", "b", "c<d"), groups=tuple(f"{i // 2}" for i in range(n))
        )

    data = Dataset(three(36, 1), three(18, 2), three(24, 3), source="three")
    config = tiny_config.model_copy(update={"training": tiny_config.training.model_copy(update={"steps": 4})})
    comparison = summarise(data, config, compare(data, config, ["vit"], [0], [1.0], tmp_path))
    assert comparison.test_patients == 12
    assert all(0 <= estimate.value <= 1 for row in comparison.rows for estimate in row.scores.measures.values())
    page = render(comparison)
    assert "c&lt;d" in page
    assert "12 patients" in page
    assert "12 patients" in markdown(comparison)
    assert not any('"groups"' in path.read_text() for path in (tmp_path / RESULTS).iterdir())


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.integers(1, 4), min_size=2, max_size=12), min_size=2, max_size=3),
    st.integers(0, 1000),
    st.floats(0.01, 1),
    st.floats(0.01, 1),
)
def test_shares_nest_and_keep_patients_whole(patients: list[list[int]], seed: int, a: float, b: float) -> None:
    """``patients[class]``: images of each."""
    people = [(k, images) for k, several in enumerate(patients) for images in several]
    labels = np.concatenate([[k] * images for k, images in people])
    groups = tuple(f"p{i}" for i, (_, images) in enumerate(people) for _ in range(images))
    names = tuple(map(str, range(len(labels))))
    whole = ImageSet(np.zeros((len(labels), 1, 1, 1), np.uint8), labels, tuple("abc"[: len(patients)]), names, groups)
    small, large = (share_of(whole, fraction, seed) for fraction in sorted((a, b)))
    assert set(small.names) <= set(large.names)
    for part, fraction in ((small, min(a, b)), (large, max(a, b))):
        assert part.groups is not None
        assert set(part.names) == {name for name, group in zip(names, groups, strict=True) if group in part.groups}
        for k, several in enumerate(patients):
            owners = len({group for group, label in zip(part.groups, part.labels, strict=True) if label == k})
            assert owners == max(1, round(fraction * len(several)))
    assert share_of(whole, 1, seed) is whole
    assert len(np.unique(patient_numbers(whole))) == len(people)


def test_plan_measures_the_whole_first_and_nothing_twice() -> None:
    cells = plan(["vit", "vit"], [1, 0, 1], [0.5, 1])
    assert [(cell.method, cell.seed, cell.fraction) for cell in cells][:3] == [
        ("bayescope", 0, 1),
        ("vit", 0, 1),
        ("bayescope", 1, 1),
    ]
    assert len(cells) == 8
    with pytest.raises(ConfigError):
        plan([], [-1], [1])
