import subprocess
import sys
from pathlib import Path

import pandas as pd
from tests_helpers import make_counts

REALISM = Path(__file__).parents[1] / "benchmarks" / "realism.py"


def test_the_realism_benchmark_runs_and_does_nothing_twice(tmp_path):
    make_counts(200).write_h5ad(tmp_path / "made.h5ad")
    out = tmp_path / "results"
    command = [
        sys.executable,
        str(REALISM),
        "--data",
        str(tmp_path / "made.h5ad"),
        "--out",
        str(out),
        "--max-epochs",
        "2",
    ]
    subprocess.run(command, check=True, capture_output=True)
    table = pd.read_csv(out / "made-0.csv", index_col="generator")
    assert list(table.index) == ["real cells (floor)", "ACTIVA", "scVI, posterior", "scVI, prior"]
    assert table["rf_auc"].between(0, 1).all() and table.loc["ACTIVA":, "train_seconds"].gt(0).all()
    assert table.loc["scVI, prior", "label_fidelity"] != table.loc["scVI, prior", "label_fidelity"]  # it has no types
    assert "rf_auc" in (out / "realism.md").read_text()
    written = {path: path.stat().st_mtime for path in (out / "made").iterdir()}
    subprocess.run(command, check=True, capture_output=True)
    assert written == {path: path.stat().st_mtime for path in (out / "made").iterdir()}
