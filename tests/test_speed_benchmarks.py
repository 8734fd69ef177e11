"""The scripts that time: what they compare is the same, and they run."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import issparse, vstack

from activa import ACTIVA

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def benchmark_module(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return import_module


def test_the_plain_networks_are_the_papers(benchmark_module):
    """With the weights of ACTIVA.paper they give its encodings, values and logits."""
    adata = benchmark_module("_made").made_cells(64, 90)
    ACTIVA.setup_anndata(adata, labels_key="cell_type")
    module = ACTIVA.paper(adata).module.eval()
    plain = benchmark_module("_plain").PlainACTIVA(90, 8).eval()
    pairs = [
        (plain.hidden, module.encoder.hidden),
        (plain.mean, module.encoder.mean),
        (plain.log_var, module.encoder.log_var),
        (plain.generator[0], module.generator.hidden),
        (plain.generator[1], module.generator.mean),
        (plain.classifier, module.classifier),
    ]
    for ours, theirs in pairs:
        weights = dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True))
        ours.load_state_dict(weights)
    # as small as not to reach the bounds of our log-variance
    x, z = torch.rand(64, 90), torch.randn(64, 128)
    with torch.no_grad():
        mu, log_var = module.encoder(x, torch.empty(64, 0))
        torch.testing.assert_close(plain.encode(x)[0], module.prior.kl(mu, log_var, mu, None))
        torch.testing.assert_close(plain.generator(z), module.generator(z))
        torch.testing.assert_close(plain.classifier(x), module.classifier(x))


def test_the_plain_step_learns(benchmark_module):
    adata = benchmark_module("_made").made_cells(128, 90)
    torch.manual_seed(0)
    plain = benchmark_module("_plain").PlainACTIVA(90, 8)
    x = torch.from_numpy(adata.X.toarray())
    y = torch.from_numpy(adata.obs["cell_type"].cat.codes.to_numpy(copy=True)).long()
    losses = [plain.step(x, y)["L_AE"] for _ in range(60)]
    assert losses[-1] < 0.96 * losses[0]


def test_made_cells_are_sparse_counts(benchmark_module):
    adata = benchmark_module("_made").made_cells(500, 3_000)
    assert issparse(adata.X) and (adata.X.data == np.round(adata.X.data)).all() and 0.02 < adata.X.nnz / 1.5e6 < 0.4
    assert adata.obs["cell_type"].nunique() == 8 and adata.obs_names.is_unique


def test_ratios_are_of_the_same_round(benchmark_module):
    rows = [("plain", 0, 10.0), ("plain", 1, 20.0), ("ours", 0, 30.0), ("ours", 1, 80.0)]
    table = pd.DataFrame([{"what": "step", "form": f, "round": r, "cells/s": v} for f, r, v in rows])
    found = benchmark_module("speed").summary(table).set_index("form")
    assert found.loc["ours", "ratio"] == "3.50 (3.00 to 4.00)" and found.loc["ours", "cells/s"] == 55


def test_parts_of_a_step_add_up(benchmark_module):
    found = benchmark_module("step_profile").profile(60, "default")
    parts = ["data", "encoder", "generator", "likelihood", "classifier", "backward", "optimizer", "logging", "other"]
    assert found["all"] == pytest.approx(sum(found[part] for part in parts))
    assert all(found[part] > 0 for part in parts) and found["flop"] > 0


def test_the_scale_benchmark_runs(tmp_path):
    command = [sys.executable, BENCHMARKS / "scale.py", "--cells", "60", "120", "--genes", "40", "--generated", "5"]
    subprocess.run([*command, "--out", tmp_path], check=True, capture_output=True, text=True)
    table = pd.read_csv(tmp_path / "scale.csv")
    assert list(table["n_cells"]) == [60, 120] and table["of_smallest"].iloc[0] == 1
    assert (tmp_path / "scale.md").exists()


def test_random_cells_in_a_file_are_the_parts_in_memory(benchmark_module, tmp_path):
    scale = benchmark_module("scale")
    scale.write_random_cells(tmp_path / "cells.h5ad", 110, 50, n_rows=40).file.close()
    written = ad.read_h5ad(tmp_path / "cells.h5ad")
    parts = [
        scale.random_cells(n, 50, scale.DENSITY, "default", [0, start]) for n, start in ((40, 0), (40, 40), (30, 80))
    ]
    assert (written.X != vstack([part.X for part in parts])).nnz == 0
    assert list(written.obs["type"]) == [label for part in parts for label in part.obs["type"]]
    assert written.obs_names.is_unique and len(np.unique(written.X.toarray(), axis=0)) == 110
    # 32 bits would end at 2^31 entries
    assert ad.read_h5ad(tmp_path / "cells.h5ad", backed="r").X.group["indptr"].dtype == np.int64


def test_scale_measures_cells_in_a_file_and_removes_it(benchmark_module, tmp_path):
    found = benchmark_module("scale").measure(60, 40, 1, 5, tmp_path)
    assert found["n_cells"] == 60 and not found["in_memory"] and found["peak_gb"] > 0
    assert not list(tmp_path.iterdir())


def test_batches_are_told_apart_by_what_differs(benchmark_module):
    """Forests of real cells recognize cells with their batch's genes, and not those without."""
    from tests_helpers import make_counts

    sets = {name: make_counts(400, seed=seed) for name, seed in (("train", 1), ("test", 2), ("floor", 3))}
    alike = make_counts(400, seed=4)
    alike.obs["batch"] = np.random.default_rng(0).permutation(alike.obs["batch"])
    tables = [
        benchmark_module("batches").recognized(sets | {"generated": made}, "cell_type", "batch", seed=0)
        for made in (make_counts(400, seed=5), alike)
    ]
    for table in tables:
        table[["data", "seed"]] = "made", 0
    real, mixed = (benchmark_module("batches").summary(table).iloc[0] for table in tables)
    assert real["real"] > 0.7 and real["generated"] == pytest.approx(real["real"], abs=0.08)
    assert mixed["generated"] == pytest.approx(0.5, abs=0.1) and real["chance"] == 0.5


def test_correlations_of_genes_and_proteins_are_compared_as_numpy_has_them(benchmark_module):
    rng = np.random.default_rng(0)
    genes, proteins = rng.normal(size=(200, 5)), rng.normal(size=(200, 3))
    proteins[:, 0] += genes[:, 0]
    proteins_file = benchmark_module("proteins")
    expected = np.corrcoef(genes.T, proteins.T)[:5, 5:]
    np.testing.assert_allclose(proteins_file.correlations(genes, proteins), expected, atol=1e-10)
    labels = np.repeat(["a", "b"], 100)
    same = proteins_file.compare((genes, proteins), (genes, proteins), labels, labels)
    none = proteins_file.compare((genes, proteins), None, labels, labels)
    assert same["overall"] == same["within types"] == 0 and same["agreement"] == pytest.approx(1)
    assert none["overall"] == pytest.approx(np.abs(expected).mean())
