"""The estimator on several devices: one model, which the first process saves."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bayescope import ScoreClassifier
from conftest import stripes
from started import Started

SCRIPT = """
import sys
import numpy as np
from bayescope import ScoreClassifier

with np.load(sys.argv[1]) as arrays:
    settings = dict(steps=8, batch_size=7, widths=(8, 8), levels=2, noises=2, validation_fraction=0.3, device="cpu")
    classifier = ScoreClassifier(devices=int(sys.argv[3]), **settings).fit(arrays["X"], arrays["y"])
    classifier.save(sys.argv[2])
    print("probability", *classifier.predict_proba(arrays["X"][:1])[0])
"""


def said(script: Path, *arguments: Path, devices: int) -> str:
    """What the script printed; on one device it starts no other processes."""
    env = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    words = [*map(str, arguments), str(devices)]
    if devices == 1:
        process = Started(words, script.read_text(), env)
        assert process.wait() == 0
        return process.communicate()[0]
    line = [sys.executable, str(script), *words]
    return subprocess.run(line, env=env, capture_output=True, text=True, check=True).stdout


@pytest.mark.slow
def test_a_script_trains_one_model_on_two_devices(tmp_path: Path) -> None:
    images = stripes(60, 1)
    np.savez(tmp_path / "images.npz", X=images.pixels, y=images.labels)
    (tmp_path / "script.py").write_text(SCRIPT)
    posteriors = {}
    for devices in (1, 2):
        run = tmp_path / str(devices)
        out = said(tmp_path / "script.py", tmp_path / "images.npz", run, devices=devices)
        told = [line.split()[1:] for line in out.splitlines() if line.startswith("probability")]
        assert len(told) == devices
        loaded = ScoreClassifier.load(run, device="cpu")
        posteriors[devices] = loaded.predict_proba(images.pixels)
        np.testing.assert_allclose(np.array(told, dtype=float), posteriors[devices][[0] * devices], rtol=1e-5)
    np.testing.assert_allclose(posteriors[2], posteriors[1], rtol=1e-3, atol=1e-4)
