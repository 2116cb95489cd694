"""Names of before: understood once more, with a warning that gives the new one."""

import warnings
from pathlib import Path

import pytest

from bayescope.cli.old_names import report_old_names, with_new_names
from bayescope.config import EvidenceConfig, NetConfig, parse_config
from bayescope.errors import ConfigError, RenamedWarning
from conftest import Call


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"error_rate": 0.2}, EvidenceConfig(disagreement_rate=0.2)),
        ({"imitated_shift": 0.5}, EvidenceConfig(calibration_augmentation=0.5)),
        ({"calibration": "monotone"}, EvidenceConfig(calibration="isotonic")),
    ],
)
def test_old_keys_of_the_evidence(old: dict[str, object], new: EvidenceConfig) -> None:
    with pytest.warns(RenamedWarning, match="is now called"):
        assert parse_config({"evidence": old}).evidence == new


def test_old_keys_of_the_network() -> None:
    with pytest.warns(RenamedWarning, match="patterns is now called csp_filters"):
        assert parse_config({"net": {"patterns": 4}}).net == NetConfig(csp_filters=4)


def test_a_value_that_is_no_number_is_not_renamed(recwarn: pytest.WarningsRecorder) -> None:
    with pytest.raises(ConfigError, match="noise_mean: found nan"):
        parse_config({"training": {"noise_mean": float("nan")}})
    assert not [warning for warning in recwarn if warning.category is RenamedWarning]


def test_old_and_new_key_together_are_refused() -> None:
    with pytest.raises(ConfigError, match="disagreement_rate alone"):
        parse_config({"evidence": {"error_rate": 0.2, "disagreement_rate": 0.2}})


@pytest.mark.slow
@pytest.mark.parametrize("option", [("--error-rate", "0"), ("--error-rate=0",)])
def test_an_old_option(cli: Call, tiny_run: Path, tiny_npz: Path, option: tuple[str, ...]) -> None:
    told = cli("evaluate", tiny_run, tiny_npz, *option, "--json")
    assert told.code == 0
    assert "--error-rate is now called --disagreement-rate" in " ".join(told.err.split())


def test_an_old_key_in_a_file(cli: Call, tiny_npz: Path, config_file: Path, tmp_path: Path) -> None:
    config_file.write_text(config_file.read_text().replace("disagreement_rate", "error_rate"))
    told = cli("train", tiny_npz, "--out", tmp_path / "run", "--config", config_file)
    assert told.code == 0
    assert "error_rate is now called disagreement_rate" in " ".join(told.err.split())


def test_tensorboard_is_one_of_the_loggers(capsys: pytest.CaptureFixture[str]) -> None:
    assert with_new_names(["train", "--tensorboard"]) == ["train", "--logger=tensorboard"]
    assert "--tensorboard is now called --logger=tensorboard" in " ".join(capsys.readouterr().err.split())


def test_other_warnings_are_shown_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[object] = []
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        monkeypatch.setattr(
            warnings, "showwarning", lambda message, category, *rest, **more: shown.append((str(message), category))
        )
        with report_old_names():
            warnings.warn("rain", UserWarning, stacklevel=1)
    assert shown == [("rain", UserWarning)]
