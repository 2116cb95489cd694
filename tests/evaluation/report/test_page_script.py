"""The report's script is run, by node if it is there, and its figures are held against values by hand."""

import json
import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest

from bayescope.evaluation.report.sections.post_test import section
from report_data import context, evaluation

NODE = shutil.which("node")
PAGE = """
const elements = {};
const element = id => elements[id] ??= {value: set[id], style: {}, listeners: {},
  addEventListener(what, listener) { this.listeners[what] = listener; }};
const document = {getElementById: element};
"""
"""As much of a browser as the script asks for; ``set`` gives the values at first."""
RATIOS = np.array([-3.0, -1.0, 2.5, -4.0, 3.0, 1.0])
LABELS = np.array([0, 0, 0, 0, 1, 1])


def shown(first: dict[str, str], then: dict[str, str] | None = None) -> dict[str, str]:
    """Texts by element, with the ``first`` values of the sliders, or after they were moved one by one."""
    plain = evaluation(2, 6, log_likelihood_ratio=np.stack([-RATIOS, RATIOS], axis=1))
    found = replace(plain, images=replace(plain.images, labels=LABELS), positive="malignant")
    (script,) = re.findall(r"<script>(.*?)</script>", section(found, context(found)), flags=re.DOTALL)
    moves = "".join(
        f"element({json.dumps(name)}).value = {json.dumps(value)}; element({json.dumps(name)}).listeners.input();"
        for name, value in (then or {}).items()
    )
    told = """console.log(JSON.stringify(Object.fromEntries(Object.entries(elements).map(
        ([id, of]) => [id, of.textContent ?? of.style.width ?? ""]))))"""
    assert NODE
    command = f"const set = {json.dumps(first)};{PAGE}{script}{moves}{told}"
    return json.loads(subprocess.run([NODE, "-e", command], capture_output=True, text=True, check=True).stdout)


pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed")


def test_probability_and_predictive_values_are_those_by_hand() -> None:
    """Odds before are exp(-2): called malignant are the images of a ratio above 2, one of two rightly, one of four wrongly."""
    found = shown({"k": "1", "before": "-2", "llr": "3"})
    before = 1 / (1 + np.exp(2))
    assert found["before-out"] == f"{100 * before:.1f} %" == "11.9 %"
    assert found["llr-out"] == "+3.00 (× 20)"
    assert found["after"] == f"{100 / (1 + np.exp(-1)):.1f} %" == "73.1 %"
    assert float(found["bar"].removesuffix("%")) == pytest.approx(100 / (1 + np.exp(-1)))
    ppv = before * 0.5 / (before * 0.5 + (1 - before) * 0.25)
    npv = (1 - before) * 0.75 / ((1 - before) * 0.75 + before * 0.5)
    assert found["values"].endswith(
        "for this class, sensitivity 50.0 %, specificity 75.0 %, "
        f"positive predictive value {100 * ppv:.1f} %, negative predictive value {100 * npv:.1f} %."
    )
    assert (f"{100 * ppv:.1f}", f"{100 * npv:.1f}") == ("21.3", "91.7")


def test_sliders_and_the_class_move_what_is_shown() -> None:
    first = {"k": "1", "before": "-2", "llr": "3"}
    moved = shown(first, {"before": "2", "llr": "-5"})
    assert moved["before-out"] == "88.1 %"
    assert moved["after"] == f"{100 / (1 + np.exp(3)):.1f} %" == "4.7 %"
    assert "sensitivity 100 %, specificity 50.0 %" in moved["values"]
    other = shown(first, {"k": "0"})
    assert other["name"] == other["named"] == "<b>benign</b>"
    assert "Calling an image <b>benign</b>" in other["values"]
    assert "sensitivity 50.0 %, specificity 100 %" in other["values"]


def test_where_nothing_is_called_there_is_no_image_to_tell() -> None:
    found = shown({"k": "1", "before": "-6", "llr": "0"})
    assert "sensitivity 0 %, specificity 100 %" in found["values"]
    assert "positive predictive value no image" in found["values"]
    assert found["before-out"] == found["after"] == "0.25 %"
