"""The benchmarks of what simulated cells are good for run on made cells, and tests find what they should."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests_helpers import make_counts

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
if not BENCHMARKS.is_dir():
    pytest.skip("the benchmarks are not in a source distribution", allow_module_level=True)


@pytest.mark.parametrize(
    ("name", "arguments", "columns"),
    [
        ("power", ["--donors", "2", "--cells", "30"], {"type I error", "false discoveries", "power"}),
        ("unseen_types", ["--keep", "20", "--scvi-epochs", "1"], {"method", "classifier", "f1"}),
        ("ranking", [], {"kind", "cells", "method", "score"}),
    ],
)
def test_a_benchmark_runs(tmp_path, name, arguments, columns):
    make_counts(500, 300).write_h5ad(tmp_path / "made.h5ad")
    command = [sys.executable, str(BENCHMARKS / f"{name}.py"), "--data", str(tmp_path / "made.h5ad"), "--seeds", "0"]
    command += ["--max-epochs", "1", "--out", str(tmp_path), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = pd.read_csv(tmp_path / f"{name}.csv")
    assert columns <= set(rows) and len(rows)
    assert "| " in (tmp_path / f"{name}.md").read_text()


@pytest.mark.parametrize("test", ["Wilcoxon, cells", "DESeq2, pseudobulk", "t test, pseudobulk"])
def test_tests_find_what_differs_and_keep_their_error(monkeypatch, test):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    tests = import_module("power").TESTS
    rng = np.random.default_rng(0)
    treated = np.repeat([False, True], 400)
    donors = np.array([f"{'t' if is_treated else 'c'}{i % 4}" for i, is_treated in enumerate(treated)])
    mean = np.full((800, 200), 4.0)
    mean[np.ix_(treated, np.arange(10))] *= 2
    mean[np.ix_(treated, np.arange(10, 20))] = 0.01  # the depth of cells stays
    p = tests[test](rng.poisson(mean * rng.gamma(5, 0.2, mean.shape)), treated, donors)
    assert (p[:20] < 0.01).all()
    assert (p[20:] < 0.05).mean() < 0.15
