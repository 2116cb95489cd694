"""What classify ends with where a file cannot be read, and that remarks on an image are told with it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bayescope.cli import classify
from bayescope.data.dataset import Dataset
from conftest import Call


@pytest.fixture
def folder(tiny_data: Dataset, tmp_path: Path) -> Path:
    Image.fromarray(tiny_data.test.pixels[0, 0]).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"no image")
    return tmp_path


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["table", "json"])
def test_a_file_that_cannot_be_read_is_one_of_the_exit_code(
    cli: Call, tiny_run: Path, folder: Path, options: tuple[str, ...]
) -> None:
    told = cli("classify", tiny_run, folder, *options)
    assert told.code == 1
    assert "good.png" in told.out
    assert "bad.png" in told.err
    assert cli("classify", tiny_run, folder / "good.png", *options).code == 0


def test_remarks_on_an_image_are_told_with_it(cli: Call, monkeypatch: pytest.MonkeyPatch, tiny_run: Path, folder: Path) -> None:
    read = classify.read_images

    def remarked(*arguments: Any) -> Any:
        return replace(read(*arguments), remarks=(("cut at its edge",),))

    monkeypatch.setattr(classify, "read_images", remarked)
    (record,) = map(json.loads, cli("classify", tiny_run, folder / "good.png", "--json").out.splitlines())
    assert "cut at its edge" in record["warnings"]
