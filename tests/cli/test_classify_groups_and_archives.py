"""What classify hands on for groups of images and for archives, and which options do not go together."""

import json
from pathlib import Path

import pytest
from PIL import Image

from bayescope.data.dataset import Dataset
from cli.spies import answered, argument
from conftest import Call

CLASSIFY = "inference.model:LikelihoodModel.classify"


@pytest.fixture
def images(tiny_data: Dataset, tmp_path: Path) -> tuple[Path, Path]:
    """Two images of one patient, and the table that says so."""
    for i in (0, 1):
        Image.fromarray(tiny_data.test.pixels[i, 0]).save(tmp_path / f"{i}.png")
    (tmp_path / "groups.csv").write_text("path,patient\n0.png,a\n1.png,a\n")
    return tmp_path, tmp_path / "groups.csv"


@pytest.mark.parametrize(
    ("options", "rate"),
    [((), None), (("--disagreement-rate", "0.1"), 0.1), (("--by",), 0.0), (("--by", "--disagreement-rate", "0.1"), 0.1)],
)
def test_images_of_groups_are_scored_in_full_unless_a_rate_is_given(
    images: tuple[Path, Path], tiny_run: Path, options: tuple[str, ...], rate: float | None
) -> None:
    folder, table = images
    words = ["classify", str(tiny_run), *(str(folder / f"{i}.png") for i in (0, 1))]
    for word in options:
        words += ["--by", "patient", "--groups", str(table)] if word == "--by" else [word]
    assert argument(words, CLASSIFY, "disagreement_rate") == rate


def test_a_frame_is_asked_for(images: tuple[Path, Path], tiny_run: Path) -> None:
    words = ["classify", str(tiny_run), str(images[0] / "0.png"), "--frame", "2"]
    assert argument(words, "inference.read:read_for_model", "frame") == 2


def test_a_line_of_json_tells_of_the_group(cli: Call, images: tuple[Path, Path], tiny_run: Path, tmp_path: Path) -> None:
    folder, table = images
    told = cli("classify", tiny_run, folder / "0.png", folder / "1.png", "--by", "patient", "--groups", table, "--json")
    assert told.code == 0
    first, second, group = map(json.loads, told.out.splitlines())
    assert {first["image"].rpartition("/")[2], second["image"].rpartition("/")[2]} == {"0.png", "1.png"}
    assert "image" not in group
    assert "a" in group.values()


def test_a_file_given_twice_counts_once(cli: Call, images: tuple[Path, Path], tiny_run: Path) -> None:
    folder, table = images
    by = ("--by", "patient", "--groups", table, "--json")
    one, link = folder / "0.png", folder / "link.png"
    link.symlink_to(one)
    twice, through_link, once = (cli("classify", tiny_run, *given, *by) for given in ((one, one), (one, link), (one,)))
    assert twice.out == through_link.out == once.out != ""
    assert "link.png: left out: an image given before, which counts once" in " ".join(through_link.err.split())


def test_reports_of_groups_are_of_the_run(
    cli: Call, monkeypatch: pytest.MonkeyPatch, images: tuple[Path, Path], tiny_run: Path, tmp_path: Path
) -> None:
    folder, table = images
    answered(monkeypatch, "cli.classify:codes_of_objects", {})
    of_images = answered(monkeypatch, "cli.classify:write_reports_of", True)
    of_groups = answered(monkeypatch, "cli.classify:write_group_reports_of", False)
    pictures = [folder / f"{i}.png" for i in (0, 1)]
    told = cli("classify", tiny_run, *pictures, "--by", "patient", "--groups", table, "--sr", tmp_path / "sr")
    assert told.code == 1  # a group has no report
    assert [call["run"] for call in (*of_images, *of_groups)] == [tiny_run, tiny_run]


def test_an_archive_is_classified_at_the_prevalence_of_the_classes_of_the_run(
    images: tuple[Path, Path], tiny_run: Path, tmp_path: Path
) -> None:
    words = ["classify", str(tiny_run), str(images[0]), "--out", str(tmp_path / "found.parquet")]
    words += ["--prevalence", "upper=0.9,lower=0.1", "--runtime", "torch"]
    assert argument(words, "archive.classify:classify_archive", "class_prior").tolist() == [0.9, 0.1]


@pytest.mark.parametrize(
    "option",
    [("--by", "patient"), ("--runtime", "onnx"), ("--sr", "reports"), ("--codes", "codes.toml")],
)
def test_options_of_files_are_refused_for_archives(
    cli: Call, images: tuple[Path, Path], tiny_run: Path, tmp_path: Path, option: tuple[str, str]
) -> None:
    (tmp_path / "codes.toml").touch()
    chosen = (option[0], str(tmp_path / option[1]) if "." in option[1] else option[1])
    told = cli("classify", tiny_run, images[0], "--out", tmp_path / "found.parquet", *chosen)
    assert (told.code, told.out) == (2, "")
    assert f"error: {option[0]} with a .parquet --out" in " ".join(told.err.split())


@pytest.mark.parametrize("option", [("--engine", "local"), ("--address", "auto"), ("--workers", "2")])
def test_options_of_archives_are_refused_for_files(
    cli: Call, images: tuple[Path, Path], tiny_run: Path, option: tuple[str, str]
) -> None:
    told = cli("classify", tiny_run, images[0] / "0.png", *option)
    assert (told.code, told.out) == (2, "")
    assert f"error: {option[0]} with an --out that is no .parquet" in " ".join(told.err.split())
