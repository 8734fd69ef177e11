"""scvi-tools' own criticism of a model: posterior predictive checks on real cells."""

import json

import numpy as np
import pytest
import scanpy as sc
from scvi.criticism import PosteriorPredictiveCheck, create_criticism_report

import activa
from activa import ACTIVA


@pytest.fixture(scope="module")
def real_model() -> ACTIVA:
    """Trained on some of the bundled cells; a gene that no sampled cell has would have no coefficient of variation."""
    adata = activa.datasets.pbmc68k_reduced()[:350].copy()
    sc.pp.filter_genes(adata, min_counts=40)
    ACTIVA.setup_anndata(adata, labels_key="cell_type")
    model = ACTIVA(adata)
    model.train(max_epochs=15, enable_progress_bar=False)
    return model


def test_posterior_predictive_check(real_model):
    check = PosteriorPredictiveCheck(real_model.adata, {"activa": real_model}, n_samples=2)
    check.coefficient_of_variation("cells")
    check.coefficient_of_variation("features")
    check.zero_fraction()
    n_cells, n_genes = real_model.adata.shape
    for metric, rows, least in (("cv_gene", n_genes, 0.9), ("cv_cell", n_cells, 0.6), ("zero_fraction", n_genes, 0.9)):
        table = check.metrics[metric]
        assert list(table) == ["activa", "Raw"] and len(table) == rows
        assert np.isfinite(table.to_numpy(dtype=float)).all()
        assert table.corr().loc["activa", "Raw"] > least
    # scvi-tools calls it the fraction of zeros, and it is of what is not zero
    detected = np.asarray((real_model.adata.X > 0).mean(axis=0)).ravel()
    np.testing.assert_allclose(check.metrics["zero_fraction"]["Raw"], detected, atol=1e-6)


# scanpy's differential expression and scvi-tools' tables of it, which use what pandas 3.1 has deprecated
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore::pandas.errors.PerformanceWarning")
@pytest.mark.filterwarnings("ignore:n_top_genes_fallback:UserWarning")
def test_report_in_the_models_folder(real_model, tmp_path):
    pytest.importorskip("leidenalg")  # asked for by scvi-tools whatever the groups
    real_model.save(tmp_path / "model")
    # it writes columns into the cells that it is about
    model = ACTIVA.load(tmp_path / "model", adata=real_model.adata.copy(), accelerator="cpu")
    create_criticism_report(model, n_samples=2, save_folder=str(tmp_path / "model"))
    report = json.loads((tmp_path / "model" / "metrics.json").read_text())
    assert set(report) == {"cell_wise_cv", "gene_wise_cv", "diff_exp"}
    for part in ("cell_wise_cv", "gene_wise_cv"):
        assert "Pearson Correlation" in report[part] and "nan" not in report[part]
    for name in real_model.types:
        assert f"| {name} |" in report["diff_exp"]
    assert "nan" not in report["diff_exp"]
    assert ACTIVA.load(tmp_path / "model", adata=False, accelerator="cpu").generate(5, seed=0).n_obs == 5
