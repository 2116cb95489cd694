"""The estimator on several devices: one model, which the first process saves."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bayescope import ScoreClassifier
from conftest import stripes

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


@pytest.mark.slow
def test_a_script_trains_one_model_on_two_devices(tmp_path: Path) -> None:
    images = stripes(60, 1)
    np.savez(tmp_path / "images.npz", X=images.pixels, y=images.labels)
    (tmp_path / "script.py").write_text(SCRIPT)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    posteriors = {}
    for devices in (1, 2):
        run = tmp_path / str(devices)
        line = [sys.executable, tmp_path / "script.py", tmp_path / "images.npz", run, str(devices)]
        done = subprocess.run(list(map(str, line)), env=environment, capture_output=True, text=True, check=True)
        told = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("probability")]
        assert len(told) == devices
        loaded = ScoreClassifier.load(run, device="cpu")
        posteriors[devices] = loaded.predict_proba(images.pixels)
        np.testing.assert_allclose(np.array(told, dtype=float), posteriors[devices][[0] * devices], rtol=1e-5)
    np.testing.assert_allclose(posteriors[2], posteriors[1], rtol=1e-3, atol=1e-4)
