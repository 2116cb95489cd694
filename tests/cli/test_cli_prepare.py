"""``bayescope prepare``: what it asks for, and what it prints of a preparation that was written down."""

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bayescope.cli.options import report_warnings
from bayescope.data.archives.base import Summary
from bayescope.data.preparation.prepare import Result
from cli.spies import answered
from conftest import Call

COUNTS = {"train": {"ill": 3, "well": 4}, "val": {"ill": 0, "well": 1}, "test": {"ill": 1, "well": 1}}
SUMMARY = Summary("INbreast", "mass", "folds", "images", 12, 10, {"no mass": 2}, COUNTS, {"train": 5}, ("a note",))
FOUND = Result(10, {}, SUMMARY, unchanged=False)
COMMAND = ("prepare", "inbreast", "downloads", "--out", "cache", "--size", 64)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """What the counter was told."""
    told: list[tuple[int, int]] = []
    titles = answered(monkeypatch, "cli.prepare:counter", nullcontext(lambda *numbers: told.append(numbers)))
    told.append(titles)  # type: ignore[arg-type]
    return told


def answer(patch: pytest.MonkeyPatch, found: object = FOUND) -> list[dict[str, Any]]:
    return answered(patch, "data.preparation.prepare:prepare_archive", found)


def test_without_options_defaults_are_asked_for(cli: Call, monkeypatch: pytest.MonkeyPatch, counted: list[Any]) -> None:
    calls = answer(monkeypatch)
    told = cli(*COMMAND)
    (call,) = calls
    call.pop("callback")(3, 9)
    assert counted == [[{"title": "preparing images"}], (3, 9)]
    warned = call.pop("warned")
    assert (warned.func, warned.keywords) == (report_warnings, {"strict": False})
    switches = {"clahe": False, "normalise_labels": False, "force": False}
    nothing = dict.fromkeys(("task", "split", "fold", "folds", "val_fraction", "crop", "orient", "frame", "workers", "address"))
    numbers = {"size": 64, "seed": 0, "window": 0, "max_broken": 20}
    paths = {"kind": "inbreast", "source": Path("downloads"), "out": Path("cache")}
    assert call == {**paths, **numbers, **switches, **nothing, "engine": "local"}
    assert all(call[name] is False for name in switches)
    assert told.code == 0
    assert told.out == f"reading downloads\n{SUMMARY}\nPrepared 10 images: cache\nNext: bayescope train cache --out RUN\n"


def test_options_are_passed_on(cli: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = answer(monkeypatch)
    division = ("--task", "mass", "--split", "folds", "--fold", 1, "--folds", 3, "--val-fraction", 0.25, "--seed", 5)
    pixels = ("--no-crop", "--orient", "--clahe", "--window", 1, "--frame", "all")
    places = ("--engine", "ray", "--address", "head:10001")
    cli(*COMMAND, *division, *pixels, "--normalise-labels", "--strict", "--workers", 2, "--max-broken", 3, "--force", *places)
    (call,) = calls
    assert call["warned"].keywords == {"strict": True}
    expected = {"task": "mass", "split": "folds", "fold": 1, "folds": 3, "val_fraction": 0.25, "seed": 5}
    expected |= {"crop": False, "orient": True, "clahe": True, "window": 1, "frame": "all", "workers": 2, "max_broken": 3}
    expected |= {"engine": "ray", "address": "head:10001"}
    assert {name: call[name] for name in expected} == expected
    assert call["normalise_labels"] is call["force"] is True


@pytest.mark.parametrize(
    ("found", "line"),
    [
        (replace(FOUND, unchanged=True), "Nothing to do: cache contains these 10 images already"),
        (
            replace(FOUND, summary=replace(SUMMARY, counts=COUNTS | {"train": {"ill": 0, "well": 0}})),
            "Next: bayescope evaluate RUN cache",
        ),
        (
            replace(FOUND, summary=replace(SUMMARY, counts=COUNTS | {"train": {"ill": 0, "well": 1}})),
            "Next: bayescope train cache --out RUN",
        ),
    ],
)
def test_what_is_next_follows_from_what_there_is(cli: Call, monkeypatch: pytest.MonkeyPatch, found: Result, line: str) -> None:
    answer(monkeypatch, found)
    assert cli(*COMMAND).out.splitlines()[-1] == line


def test_json_is_all_that_is_printed(cli: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, replace(FOUND, broken={"a.dcm": "a.dcm: no pixels"}))
    told = cli(*COMMAND, "--json")
    summary = json.loads(json.dumps(SUMMARY.to_dict()))
    assert json.loads(told.out) == {"summary": summary, "images": 10, "broken": {"a.dcm": "a.dcm: no pixels"}, "out": "cache"}
    assert told.err.strip() == "warning: left out: a.dcm: no pixels"


@pytest.mark.parametrize(("broken", "more"), [(10, 0), (11, 1), (15, 5)])
def test_ten_broken_files_are_named_and_others_counted(
    cli: Call, monkeypatch: pytest.MonkeyPatch, broken: int, more: int
) -> None:
    answer(monkeypatch, replace(FOUND, broken={f"{i}.dcm": f"{i}.dcm: no pixels" for i in range(broken)}))
    lines = cli(*COMMAND).err.strip().splitlines()
    assert lines[:10] == [f"warning: left out: {i}.dcm: no pixels" for i in range(10)]
    assert lines[10:] == [f"warning: … and {more} more broken files; all are listed in cache.json"] * bool(more)


@pytest.mark.parametrize(
    ("begun", "options", "kept"),
    [
        (False, (), "nothing was written to cache"),
        (True, (), "cache has what was done; continue with the same command"),
        (True, ("--force",), "cache has what was done; continue with the same command, without --force"),
    ],
)
def test_an_interrupt_tells_what_is_kept(
    cli: Call, monkeypatch: pytest.MonkeyPatch, begun: bool, options: tuple[str, ...], kept: str
) -> None:
    def interrupted(*_: Any, callback: Any, **__: Any) -> None:
        if begun:
            callback(1, 9)
        raise KeyboardInterrupt

    monkeypatch.setattr("bayescope.data.preparation.prepare.prepare_archive", interrupted)
    told = cli(*COMMAND, *options)
    assert (told.code, told.err.strip().splitlines()[-1]) == (130, f"interrupted: {kept}")
