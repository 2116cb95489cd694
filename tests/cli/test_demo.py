"""The demo on a shrunken phantom: what it prints and writes, and a report on its run later."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bayescope.data.phantom import Phantom
from bayescope.evaluation.demo import IdealObserver, demo_config, demo_dataset
from bayescope.evaluation.report import build
from bayescope.fitting.fit import fit_run
from bayescope.runs.files import MANIFEST, REPORT


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What pages were asked for and, after each, the file it would be in; none of them written."""
    asked: list[tuple[Any, ...]] = []
    monkeypatch.setattr(build, "report_page", lambda *arguments: asked.append(arguments))
    monkeypatch.setattr(build, "write_text", lambda *arguments: asked.append(arguments))
    return asked


@pytest.mark.slow
def test_the_demo_stands_beside_the_ideal_observer(cli: Any, shrunken_demo: None, tmp_path: Path) -> None:
    run = tmp_path / "run"
    result = cli("demo", "--out", run, "--steps", 2)
    assert result.code == 0
    assert "45 phantom images: normal, mass, microcalcifications" in result.out
    heading, auc = (next(line for line in result.out.splitlines() if word in line) for word in ("ideal observer", "│ AUC "))
    assert "ideal observer" in heading
    record = json.loads((run / "measures.json").read_text())
    ours, ideal = record["bayescope"], record["ideal"]
    assert f"{ideal['AUC']['value']:.3f}" in auc.split("│")[-2]
    for name, chance in (("AUC", 1 / 2), ("accuracy", 1 / 3)):
        share = (ours[name]["value"] - chance) / (ideal[name]["value"] - chance)
        assert f"{name}: {100 * share:.0f} % of what is attainable above chance" in result.out
    assert result.out.endswith(f"Report: {run / REPORT}\n")
    assert "ideal observer" in (run / REPORT).read_text()


@pytest.mark.slow
def test_a_report_on_a_demo_draws_its_images_again(
    cli: Any, shrunken_demo: None, written: list[tuple[Any, ...]], tmp_path: Path
) -> None:
    run, data = tmp_path / "run", demo_dataset(3)
    fit_run(data, demo_config(3, 1), run)
    assert cli("report", run).code == 0
    (_, found, shown, reference, *_), (target, _) = written
    np.testing.assert_array_equal(shown.images.pixels, data.test.pixels)
    np.testing.assert_array_equal(reference["ideal observer"], IdealObserver(Phantom()).posterior(data.test))
    assert (shown.name, len(found.predictions.posterior), target) == ("test", 45, run / REPORT)
    assert cli("report", run, "--split", "val").code == 0
    np.testing.assert_array_equal(written[2][2].images.pixels, data.val.pixels)
    assert "split 'whole'; expected one of auto, all, train, val, test" in cli("report", run, "--split", "whole").err


@pytest.mark.slow
def test_a_report_on_images_that_lie_nowhere(
    cli: Any, shrunken_demo: None, written: list[tuple[Any, ...]], tiny_run: Path, tiny_npz: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    for source in ("stripes", "phantom"):
        manifest = json.loads((run / MANIFEST).read_text()) | {"source": source}
        (run / MANIFEST).write_text(json.dumps(manifest))
        result = cli("report", run)
        assert (result.code, f"does not record where its data ({source}) are" in result.err) == (2, True)
    assert cli("report", run, "--data", tiny_npz).code == 0
    assert written[0][3] is None
