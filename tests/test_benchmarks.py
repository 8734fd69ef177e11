import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from tests_helpers import make_counts

from activa.metrics import evaluate

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def benchmark_module(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return import_module


@pytest.fixture
def parts(benchmark_module, tmp_path):
    make_counts(200).write_h5ad(tmp_path / "made.h5ad")
    return benchmark_module("_data").split(tmp_path / "made.h5ad", "cell_type", seed=1)


def test_real_and_synthetic_cells_score_as_evaluate_has_it(benchmark_module, parts):
    names = ["wasserstein", "label_fidelity", "membership_auc"]
    synthetic = make_counts(50, seed=7)
    expected = evaluate(
        parts["test"],
        synthetic,
        train=parts["train"],
        floor=parts["floor"],
        labels_key="cell_type",
        metrics=names,
        seed=1,
    )
    judge = benchmark_module("_judge").Judge(parts, "cell_type", seed=1)
    assert judge.score(judge.read(synthetic), names) == expected["value"].to_dict()
    assert judge.score(judge.floor, names) == expected["floor"].to_dict()


def test_rare_types_weigh_as_much_among_generated_cells_as_among_held_out_ones(benchmark_module, parts):
    rare = benchmark_module("_rare")
    (name,) = rare.rare_types(parts["train"].obs["cell_type"])
    held_out = sum((parts[part].obs["cell_type"] == name).sum() for part in ("test", "floor"))
    assert (parts["train"].obs["cell_type"] == name).sum() < rare.TRAINING_CELLS
    assert rare.rare_labels(parts, "cell_type").tolist() == [name] * rare.DRAWS * held_out


def task(benchmark_module, train, labels):
    return benchmark_module("_task").Task(
        train, np.array(labels), np.array([]), "cell_type", seed=0, max_epochs=None, folder=Path("nowhere")
    )


def test_independent_genes_have_the_mean_and_variance_of_their_type_and_no_correlation(benchmark_module):
    rng = np.random.default_rng(0)
    library = rng.choice([500, 1500], size=4000)
    shared = rng.gamma(2.0, 1 / 2.0, size=(4000, 1))
    share = np.full(40, 1 / 40)
    counts = rng.multinomial(library, share)
    counts[:, :2] = rng.poisson(library[:, None] / 40 * shared)
    obs = pd.DataFrame({"cell_type": ["a"] * 4000}, index=np.arange(4000).astype(str))
    train = ad.AnnData(csr_matrix(counts, dtype=np.float32), obs=obs)
    run = benchmark_module("_baselines").independent(task(benchmark_module, train, ["a"] * 4000))
    (made,) = run.cells.values()
    made = made.X.toarray()
    # the gamma factor of variance 1/2 that the first two genes share is kept, and no longer shared
    assert made.mean(axis=0) == pytest.approx(counts.mean(axis=0), rel=0.1)
    assert made[:, :2].std(axis=0) == pytest.approx(counts[:, :2].std(axis=0), rel=0.1)
    low = library == 500
    assert np.corrcoef(counts[low, :2].T)[0, 1] > 0.5
    low = made.sum(axis=1) < 1000
    assert abs(np.corrcoef(made[low, :2].T)[0, 1]) < 0.1


def test_the_copy_baseline_gives_training_cells_of_the_types_asked_for_in_their_order(benchmark_module):
    train, labels = make_counts(100), ["T", "B", "T", "NK"]
    (made,) = benchmark_module("_baselines").bootstrap(task(benchmark_module, train, labels)).cells.values()
    assert made.obs["cell_type"].tolist() == labels
    known = {(label, row.tobytes()) for label, row in zip(train.obs["cell_type"], train.X.toarray(), strict=True)}
    assert {(label, row.tobytes()) for label, row in zip(labels, made.X.toarray(), strict=True)} <= known


def test_a_bound_without_a_figure_is_neither_met_nor_missed(benchmark_module):
    verdict = benchmark_module("_bounds").Verdict
    assert verdict(0.5, at_most=0.5).met is True
    assert verdict(0.6, at_least=0.4, at_most=0.5).met is False
    assert verdict(0.6, at_most=float("nan")).met is None


def test_the_realism_benchmark_runs_and_does_nothing_twice(tmp_path):
    make_counts(200).write_h5ad(tmp_path / "made.h5ad")
    out = tmp_path / "results"
    command = [sys.executable, str(BENCHMARKS / "realism.py"), "--data", str(tmp_path / "made.h5ad"), "--out", str(out)]
    command += ["--max-epochs", "2", "--splits", "1", "--seeds", "0", "1"]
    subprocess.run(command, check=True, capture_output=True)
    table = pd.read_csv(out / "realism.csv", index_col=["generator", "seed"]).drop(columns="dataset")
    generators = [
        "ACTIVA",
        "scVI, posterior",
        "scVI, prior",
        "NB per type, independent genes",
        "training cells",
        "real",
    ]
    assert list(table.index.unique("generator")) == generators
    assert list(table.loc["ACTIVA"].index) == list(table.loc["real"].index) == [0, 1]
    assert list(table.loc["scVI, posterior"].index) == [0]
    assert table["rf_auc"].between(0, 1).all() and table.loc["ACTIVA", "train_seconds"].gt(0).all()
    assert table.loc["scVI, prior", "label_fidelity"].isna().all()  # it has no types
    assert table.loc["training cells", "copy_ratio"].item() < 0.1 < table.loc["real", "copy_ratio"].min()
    assert table["rare_recall"].drop("scVI, prior", level="generator").between(0, 1).all()
    assert len(pd.read_csv(out / "bounds.csv")) == 16
    assert "rf_auc" in (out / "realism.md").read_text()

    # what is known is not computed again; a metric that is not, is
    forgotten = out / "made" / "ACTIVA-1.csv"
    lines = forgotten.read_text().splitlines(keepends=True)
    forgotten.write_text("".join(line for line in lines if not line.startswith("rf_auc")))
    written = {path: path.stat().st_mtime for path in (out / "made").iterdir()}
    subprocess.run(command, check=True, capture_output=True)
    assert {path for path, time in written.items() if path.stat().st_mtime != time} == {forgotten}
    again = pd.read_csv(out / "realism.csv", index_col=["generator", "seed"]).drop(columns="dataset")
    pd.testing.assert_frame_equal(again, table)


def test_the_ablation_runs_and_does_nothing_twice(tmp_path):
    make_counts(200).write_h5ad(tmp_path / "made.h5ad")
    out = tmp_path / "results"
    command = [
        sys.executable,
        str(BENCHMARKS / "ablation.py"),
        "--data",
        str(tmp_path / "made.h5ad"),
        "--out",
        str(out),
    ]
    command += [
        "--max-epochs",
        "2",
        "--seeds",
        "0",
        "--configurations",
        "default",
        "full-covariance mixture after training",
    ]
    subprocess.run(command, check=True, capture_output=True)
    rows = [json.loads(line) for line in (out / "ablation.jsonl").read_text().splitlines()]
    assert [row["configuration"] for row in rows] == [
        "real cells (floor)",
        "default",
        "full-covariance mixture after training",
    ]
    assert rows[1]["scores"]["held_out_elbo"] == rows[2]["scores"]["held_out_elbo"]  # one training
    assert rows[1]["scores"]["wasserstein"] != rows[2]["scores"]["wasserstein"]
    subprocess.run(command, check=True, capture_output=True)
    assert rows == [json.loads(line) for line in (out / "ablation.jsonl").read_text().splitlines()]
    assert "| full-covariance mixture after training" in (out / "ablation.md").read_text()


def test_evaluation_at_scale_sets_what_is_estimated_beside_what_is_exact(benchmark_module, tmp_path):
    scale = benchmark_module("evaluation_scale")
    scale.write_sets(tmp_path, 50, 30, None, "cell_type")
    sets = {name: ad.read_h5ad(tmp_path / f"{name}-50.h5ad") for name in scale.SETS}
    assert {cells.shape for cells in sets.values()} == {(50, 30)}
    assert (sets["real"].X != sets["floor"].X).nnz
    rows = pd.DataFrame(
        {
            "metric": [scale.REST, "mmd", "mmd"],
            "kind": ["evaluate", "evaluate", "exact"],
            "cells": 50,
            "seconds": [1.0, 2.0, 8.0],
            "peak_mib": [100, 200, 900],
            "value": [np.nan, 0.5, 0.75],
            "floor": [np.nan, 0.25, 0.25],
        }
    )
    text = [line.split() for line in scale.report(rows, "made").splitlines()]
    assert ["|", "in", "all", "|", "3", "|", "200", "|"] in text
    assert "| mmd | 0.75 | 0.5 | -0.25 | 0.25 | 0.25 | 0 | 8.0 | 2.0 |".split() in text


def test_the_privacy_benchmark_catches_copies_and_keeps_what_is_made(benchmark_module, tmp_path, monkeypatch):
    privacy = benchmark_module("privacy")
    monkeypatch.setattr(privacy, "REALISM", ["mmd"])
    make_counts(300).write_h5ad(tmp_path / "made.h5ad")
    out = tmp_path / "out"
    (out / "privacy").mkdir(parents=True)
    parts = privacy.read_parts(tmp_path / "made.h5ad", "cell_type", seed=0)
    names = [name for cells in parts.values() for name in cells.obs_names]
    assert len(set(names)) == len(names) == 300
    assert all(abs(len(parts[name]) - share * 300) <= 2 for name, share in privacy.FRACTIONS.items())
    args = SimpleNamespace(labels_key="cell_type", seed=0, shadows=4)
    rows = privacy.rows_of(parts, privacy.COPIES, args, out / "privacy", shadows=True).set_index("metric")
    assert rows.value["exact_copies"] == rows.value["dcr_share"] == 1
    # as many of the training cells are found as are drawn
    assert rows.value["shadow_tpr"] == pytest.approx(1 - np.exp(-1), abs=0.12)
    assert abs(rows.floor["shadow_auc"] - 0.5) < 0.2
    files = sorted((out / "privacy").iterdir())
    assert len(files) == 5
    changed = [file.stat().st_mtime_ns for file in files]
    privacy.rows_of(parts, privacy.COPIES, args, out / "privacy", shadows=True)
    assert [file.stat().st_mtime_ns for file in files] == changed
    text = privacy.report(rows.reset_index(), {"privacy": 120})
    assert "### privacy (120 training cells)" in text
    assert "| exact_copies" in text and "| training cells" in text and "ACTIVA" not in text
