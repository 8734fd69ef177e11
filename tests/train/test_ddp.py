"""Training on two processes: it ends, and both end with one model."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="process groups are POSIX's")


def test_two_processes_end_with_the_same_model(tmp_path):
    script = Path(__file__).with_name("ddp_script.py")
    environment = {k: v for k, v in os.environ.items() if k not in ("LOCAL_RANK", "WORLD_SIZE")}
    environment["PYTHONPATH"] = os.pathsep.join([str(script.parents[1]), *filter(None, sys.path)])
    run = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = run.communicate(timeout=300)  # where a rank waits for the other it would be for ever
    finally:
        try:
            os.killpg(run.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    assert run.returncode == 0, output[-3000:]
    first, second = (json.loads((tmp_path / f"rank_{rank}.json").read_text()) for rank in (0, 1))
    assert set(first) == {"none", "soft", "hinge"}
    for form, found in first.items():
        # each process had its own cells and noise
        assert found.pop("own") != second[form].pop("own")
        assert found == second[form], form
    assert first["hinge"]["alphas"][-1] != first["hinge"]["alphas"][0]
    assert 0 < first["hinge"]["metrics"]["margin"] < 1e3
    assert first["soft"]["parameters"] != first["none"]["parameters"]
