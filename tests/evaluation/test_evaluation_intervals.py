"""All commands give the same measures and intervals of the same images."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bayescope.config import Config, dump_toml
from bayescope.data.dataset import Dataset
from conftest import Call, stripes, write_npz


@pytest.fixture(scope="module")
def hard_npz(tiny_data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every fifth label of the test images is wrong, so that no measure is 1."""
    test = stripes(60, 9)
    wrong = replace(test, labels=np.where(np.arange(60) % 5 == 0, 1 - test.labels, test.labels))
    return write_npz(tmp_path_factory.mktemp("hard") / "hard.npz", replace(tiny_data, test=wrong))


@pytest.mark.slow
@pytest.mark.usefixtures("few_cases")
def test_evaluate_report_and_compare_agree(cli: Call, hard_npz: Path, tiny_config: Config, tmp_path: Path) -> None:
    config, run, out = tmp_path / "c.toml", tmp_path / "run", tmp_path / "compared"
    config.write_text(dump_toml(tiny_config))
    assert cli("train", hard_npz, "--out", run, "--config", config).code == 0
    evaluated = json.loads(cli("evaluate", run, hard_npz, "--json").out)
    compared = cli("compare", hard_npz, "--out", out, "--config", config, "--networks", "", "--seeds", "0", "--json")
    (row,) = json.loads(compared.out)["rows"]
    for name in ("AUC", "balanced accuracy"):
        found = evaluated["measures"][name]
        assert 0.5 < found["low"] < found["value"] < found["high"] < 1
        assert row["scores"]["measures"][name] == pytest.approx(found)
    for of_class in evaluated["by_class"].values():
        assert of_class["AUC"] == pytest.approx(evaluated["measures"]["AUC"])
    assert cli("report", run, "--data", hard_npz).code == 0
    page = (run / "report.html").read_text()
    area = evaluated["measures"]["AUC"]
    assert f"<td>AUC</td><td>{area['value']:.4f}</td><td>{area['low']:.4f} to {area['high']:.4f}</td>" in page
