"""The benchmark of other generators: what fails has a row, and cells from files are judged as evaluate has it."""

import sys
from importlib import import_module
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix, diags
from tests_helpers import make_counts

from activa.metrics import evaluate

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def peers(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return import_module("peers")


@pytest.fixture
def run(peers, monkeypatch, tmp_path):
    """The command on made cells; gives its table."""
    make_counts(300).write_h5ad(tmp_path / "made.h5ad")

    def run(*arguments):
        command = ["peers.py", "--data", tmp_path / "made.h5ad", "--envs", tmp_path / "envs", "--out", tmp_path / "out"]
        monkeypatch.setattr(sys, "argv", [str(argument) for argument in [*command, *arguments]])
        peers.main()
        file = tmp_path / "out" / "peers.csv"
        return pd.read_csv(file, index_col="peer") if file.exists() else None

    return run


def test_what_fails_is_told_in_its_row_and_the_rest_goes_on(peers, run, monkeypatch, tmp_path):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setitem(peers.REQUIREMENTS, "broken", [])
    monkeypatch.setitem(peers.REQUIREMENTS, "absent", ["activa-no-such-package==1"])
    arguments = ["--peers", "broken", "absent", "independent"]
    rows = run(*arguments)
    assert "invalid choice: 'broken'" in rows.loc["broken", "error"]
    assert rows.loc["absent", "error"] == "ERROR: No matching distribution found for activa-no-such-package==1"
    assert not (tmp_path / "envs" / "absent").exists()
    assert pd.isna(rows.loc["independent", "error"])
    assert rows["rf_auc"].notna().to_dict() == {"absent": False, "broken": False, "independent": True}
    assert rows.loc["independent", ["generate_seconds", "peak_gb"]].gt(0).all()
    text = (tmp_path / "out" / "peers.md").read_text()
    assert "invalid choice: 'broken'" in text
    assert "| real cells" in text

    # nothing is done twice, but for what is named
    kept = tmp_path / "out" / "peers" / "made"
    times = {file: file.stat().st_mtime_ns for file in kept.iterdir()}
    pd.testing.assert_frame_equal(run(*arguments), rows)
    assert {file: file.stat().st_mtime_ns for file in kept.iterdir()} == times
    run("--peers", "broken", "--redo", "broken")
    assert {file.name for file in kept.iterdir() if file.stat().st_mtime_ns != times[file]} == {"broken-0.json"}


def test_cells_from_files_are_judged_on_the_genes_that_they_have(peers, run, tmp_path):
    run("--write-training", tmp_path / "given")
    train = ad.read_h5ad(tmp_path / "given" / "made-train.h5ad")
    asked = pd.read_csv(tmp_path / "given" / "made-asked.csv")["cell_type"].to_numpy(dtype=str)
    rng = np.random.default_rng(0)
    chosen = [rng.choice(np.flatnonzero(train.obs["cell_type"] == label)) for label in asked]
    obs = pd.DataFrame({"cell_type": asked}, index=[f"drawn_{i}" for i in range(len(asked))])
    cells = ad.AnnData(train.X[chosen], obs=obs, var=train.var)
    cells[:, ::-1][:, 3:].copy().write_h5ad(tmp_path / "fewer.h5ad")
    # a scale of its own for each cell is no difference where values are not counts
    scaled = cells.copy()
    scaled.X = csr_matrix(diags(rng.uniform(0.1, 0.9, size=len(asked))) @ cells.X)
    scaled.write_h5ad(tmp_path / "scaled.h5ad")
    cells[:-1].copy().write_h5ad(tmp_path / "whole.h5ad")
    files = [f"{name}={tmp_path / name}.h5ad" for name in ("fewer", "scaled", "whole")]
    rows = run("--peers", "--cells", *files)

    parts = import_module("_data").split(tmp_path / "made.h5ad", "cell_type", 0)
    real = ad.concat([parts["test"], parts["floor"]])
    fewer = cells[:, ::-1][:, 3:].copy()
    names = ["wasserstein", "label_fidelity"]
    expected = evaluate(
        real[:, fewer.var_names].copy(),
        fewer,
        train=parts["train"][:, fewer.var_names].copy(),
        labels_key="cell_type",
        metrics=names,
        seed=0,
    )["value"]
    assert rows.loc["fewer", names].to_list() == pytest.approx(expected.to_list())
    assert (rows["genes"] < rows["all_genes"]).to_dict() == {"fewer": True, "scaled": False, "whole": False}
    assert rows.loc["scaled", names].to_list() == pytest.approx(
        evaluate(real, cells, train=parts["train"], labels_key="cell_type", metrics=names, seed=0)["value"].to_list()
    )
    assert rows["types"].notna().to_dict() == {"fewer": False, "scaled": False, "whole": True}
    assert f"{fewer.n_vars} of {train.n_vars} genes" in (tmp_path / "out" / "peers.md").read_text()

    # cells of other genes cannot be judged, and their row says so
    cells.var_names = [f"other_{name}" for name in cells.var_names]
    cells.write_h5ad(tmp_path / "fewer.h5ad")
    rows = run("--peers", "--cells", files[0])
    assert "not among the training cells' genes" in rows.loc["fewer", "error"]
    assert rows["rf_auc"].notna().to_dict() == {"fewer": False, "scaled": True, "whole": True}


def test_a_process_that_fails_is_told_in_one_line(peers):
    def said(code, **limits):
        with pytest.raises(peers.FailedError) as error:
            peers.call([sys.executable, "-c", code], **limits)
        return str(error.value)

    assert said("import time; time.sleep(60)", seconds=0.5) == "stopped after 0.5 s"
    assert said("import os; os.kill(os.getpid(), 9)") == "ended by signal 9"
    assert said("open('/no/such/file.txt')").endswith("No such file or directory: 'file.txt'")
    assert said("raise SystemExit(3)") == "ended with code 3"
