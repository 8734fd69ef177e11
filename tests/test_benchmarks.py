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


def test_cells_are_judged_against_all_unseen_ones_as_evaluate_has_it(benchmark_module, parts):
    names = ["wasserstein", "label_fidelity"]
    synthetic = make_counts(80, seed=7)
    module = benchmark_module("_judge")
    unseen = module.unseen_cells(parts)
    assert unseen.n_obs == parts["test"].n_obs + parts["floor"].n_obs
    expected = evaluate(unseen, synthetic, train=parts["train"], labels_key="cell_type", metrics=names, seed=1)
    assert module.scores(parts, synthetic, "cell_type", 1, names) == expected["value"].to_dict()
    # values of any scale are judged by their shares, without the metrics of counts
    scaled = synthetic.copy()
    scaled.X = scaled.X * 0.5
    found = module.scores(parts, scaled, "cell_type", 1, [*names, "dropout_distance"])
    assert found["wasserstein"] == pytest.approx(expected["value"]["wasserstein"], rel=1e-4)
    assert np.isnan(found["dropout_distance"])


def task(benchmark_module, train, labels):
    return benchmark_module("_task").Task(
        train, np.array(labels), "cell_type", seed=0, max_epochs=None, folder=Path("nowhere")
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


def test_the_realism_benchmark_runs_and_does_nothing_twice(tmp_path):
    make_counts(200).write_h5ad(tmp_path / "made.h5ad")
    out = tmp_path / "results"
    command = [sys.executable, str(BENCHMARKS / "realism.py"), "--data", str(tmp_path / "made.h5ad"), "--out", str(out)]
    command += ["--max-epochs", "2", "--seeds", "0", "--methods", "activa", "bootstrap"]
    subprocess.run(command, check=True, capture_output=True)
    table = pd.read_csv(out / "realism.csv", index_col=["generator", "seed", "metric"]).drop(columns="dataset")
    assert list(table.index.unique("generator")) == ["ACTIVA", "training cells"]
    forest = table.xs("rf_auc", level="metric")
    assert forest["value"].between(0, 1).all() and (forest["low"] < forest["high"]).all()
    assert forest.loc["ACTIVA", "refit"].between(0, 1).all() and forest.loc["training cells", "refit"].isna().all()
    assert table.loc[("training cells", 0, "copy_ratio"), "value"] < 0.1
    assert table.loc[("training cells", 0, "copy_ratio"), "judgment"] == "unlike real"
    assert "misfit" in (out / "realism.md").read_text()

    # what is known is not computed again; what was forgotten is
    forgotten = out / "made" / "ACTIVA-0.csv"
    forgotten.unlink()
    written = {path: path.stat().st_mtime for path in (out / "made").iterdir()}
    subprocess.run(command, check=True, capture_output=True)
    assert {path for path, time in written.items() if path.stat().st_mtime != time} == set()
    assert forgotten.exists()


def test_the_curve_of_more_cells_runs_and_does_nothing_twice(tmp_path):
    make_counts(200).write_h5ad(tmp_path / "made.h5ad")
    out = tmp_path / "results"
    command = [sys.executable, str(BENCHMARKS / "more_cells.py"), "--data", str(tmp_path / "made.h5ad")]
    command += ["--out", str(out), "--sizes", "all", "--made", "90", "--max-epochs", "2", "--unseen", "60"]
    subprocess.run([*command, "--seeds", "0", "--made"], check=True, capture_output=True)
    first = (out / "more_cells.csv").read_text()
    subprocess.run([*command, "--seeds", "0"], check=True, capture_output=True)
    assert (out / "more_cells.csv").read_text().startswith(first)
    rows = pd.read_csv(out / "more_cells.csv")
    # 120 training cells are 60% of 200
    assert rows[["cells", "n_cells"]].values.tolist() == [["real", 120], ["made", 90]]
    assert (rows["n_unseen"] == 60).all()
    assert rows[["rf_auc", "profile_auc", "quadratic_auc"]].stack().between(0, 1).all()
    text = (out / "more_cells.md").read_text()
    assert "### made\n" in text and "### Made cells of made\n" in text and " of 1 " in text
    other = subprocess.run([*command, "--max-epochs", "3"], capture_output=True, text=True)
    assert other.returncode and "other arguments" in other.stderr


def test_the_interval_over_seeds_is_students(benchmark_module):
    values = pd.Series([0.5, 0.6, 0.7])
    # t of two degrees of freedom is 4.303
    reach = 4.303 * 0.1 / np.sqrt(3)
    found = benchmark_module("more_cells").mean_and_interval
    assert found(values) == f"0.600 ({0.6 - reach:.3f} to {0.6 + reach:.3f})"
    assert found(values[:1]) == "0.500"


def test_chosen_cells_have_the_types_in_proportion(benchmark_module):
    cells = make_counts(200)
    chosen = benchmark_module("more_cells").chosen(cells, 50, "cell_type", seed=0)
    assert chosen.n_obs == 50 and chosen.obs_names.is_unique
    of = [part.obs["cell_type"].value_counts() for part in (chosen, cells)]
    assert (of[0] - of[1] / 4).abs().max() < 1


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
