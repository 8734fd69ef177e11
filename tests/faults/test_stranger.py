"""A stranger's export cannot take the machine: what is larger, deeper or stranger than any model is refused unread."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from faults.bombs import BOMBS, MAX_SECONDS, WEIGHTS, put
from safetensors.numpy import load, save
from tests_helpers import make_model

from activa import ACTIVA, Sampler


@pytest.fixture(scope="module")
def export(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("export") / "model"
    make_model(epochs=1, setup={"labels_key": "cell_type", "batch_key": "batch"}).export(path)
    return path


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="limits of memory are Linux's")
def test_bombs_are_refused_within_a_gibibyte_and_ten_seconds(export, tmp_path):
    script = Path(__file__).with_name("bombs.py")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
    given = [sys.executable, str(script), str(export), str(tmp_path / "report.json")]
    subprocess.run(given, check=True, timeout=300, env=environment, capture_output=True)
    ended = json.loads((tmp_path / "report.json").read_text())
    assert len(ended) == 2 * len(BOMBS)
    for name, (error, message, seconds) in ended.items():
        assert seconds < MAX_SECONDS, name
        # a sampler reads no model
        is_refused = error in ("ValueError", "FileNotFoundError")
        assert is_refused or (error == "none" and "model" in name.lower() or "class" in name), (
            f"{name}: {error} {message}"
        )
        assert len(message) < 1_000, name
    assert all(ended[f"{name}: Generation.from_export"][0] != "none" for name in BOMBS)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_refused(export, tmp_path, value):
    for i, name in enumerate(["generator.mean.bias", "encoder", "prior", "classifier"]):
        folder = tmp_path / str(i)
        ACTIVA.from_export(export).export(folder)
        tensors = load((folder / WEIGHTS).read_bytes())
        chosen = next(key for key in sorted(tensors) if name in key and tensors[key].dtype == np.float32)
        changed = tensors[chosen].copy()
        changed.reshape(-1)[0] = value
        put(folder, WEIGHTS, save(tensors | {chosen: changed}))
        for read in (Sampler.load, ACTIVA.from_export):
            with pytest.raises(ValueError, match=f"{chosen}.*not finite"):
                read(folder)
