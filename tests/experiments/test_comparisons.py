"""Experiments that train no model."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.sparse import csr_matrix
from statsmodels.api import GLM, add_constant, families

from activa import experiments, metrics, optional

QUICK = {
    "rf_detection": {"labels_key": "cell_type", "n_trees": 50},
    "correlation_discrepancy": {"labels_key": "cell_type"},
    "marker_expression": {"labels_key": "cell_type"},
    "dropout_curve": {},
    "manifold": {"labels_key": "cell_type", "genes": ["gene_3"]},
}


def scaled(adata):
    """log1p of counts scaled to 10,000, written out."""
    x = np.asarray(adata.X.todense() if hasattr(adata.X, "todense") else adata.X, dtype=float)
    return np.log1p(x / x.sum(axis=1, keepdims=True) * 1e4)


@pytest.mark.parametrize("name", QUICK)
def test_every_experiment_is_seeded_and_leaves_all_as_it_was(name, real, sets):
    before = [adata.copy() for adata in (real, *sets.values())]
    state = np.random.get_state()[1].copy()
    first, second = (getattr(experiments, name)(real, sets, **QUICK[name]) for _ in range(2))
    pd.testing.assert_frame_equal(first, second)
    assert np.array_equal(np.random.get_state()[1], state)
    for adata, copy in zip((real, *sets.values()), before, strict=True):
        assert np.array_equal(scaled(adata), scaled(copy))
        assert not adata.obsm and not adata.uns
        assert list(adata.obs) == list(copy.obs) and list(adata.var) == list(copy.var)


@pytest.mark.parametrize("name", QUICK)
def test_one_set_needs_no_name_and_log_normalized_values_will_do(name, real, sets):
    table = getattr(experiments, name)(real, sets["good"], **QUICK[name])
    assert set(table["set"]) <= {"real", "synthetic"} and "synthetic" in set(table["set"])
    normalized = [adata.copy() for adata in (real, sets["good"])]
    for adata in normalized:
        adata.X = scaled(adata).astype(np.float32)
    again = getattr(experiments, name)(*normalized, normalized=True, **QUICK[name])
    numbers = [c for c in table.select_dtypes("number") if not c.startswith(("UMAP", "tSNE"))]
    assert np.allclose(table[numbers], again[numbers], atol=2e-3)


@pytest.mark.parametrize("name", QUICK)
def test_bad_input_is_refused(name, real, sets):
    experiment = getattr(experiments, name)
    with pytest.raises(ValueError, match="synthetic must have the genes of real"):
        experiment(real, sets["good"][:, :5], **QUICK[name])
    with pytest.raises(ValueError, match="none 'real'"):
        experiment(real, {"real": sets["good"]}, **QUICK[name])
    with pytest.raises(ValueError, match="at least one set"):
        experiment(real, {}, **QUICK[name])
    with pytest.raises(TypeError, match="mapping of names"):
        experiment(real, [sets["good"]], **QUICK[name])
    with pytest.raises(ValueError, match="bad has no cells"):
        experiment(real, {"bad": sets["bad"][:0]}, **QUICK[name])
    if "labels_key" in QUICK[name]:
        with pytest.raises(KeyError, match="labels_key 'type'"):
            experiment(real, sets, **QUICK[name] | {"labels_key": "type"})


def test_forest_knows_shuffled_genes_and_area_is_the_curves(real, sets):
    table = experiments.rf_detection(real, sets, labels_key="cell_type", n_trees=100)
    areas = table.groupby("set")["auc"].mean()
    assert areas["good"] < 0.65 < areas["bad"]
    for (name, fold), curve in table.groupby(["set", "fold"]):
        area = np.trapezoid(curve["true_positive_rate"], curve["false_positive_rate"])
        assert area == pytest.approx(curve["auc"].iloc[0]), (name, fold)
    assert sorted(table["fold"].unique()) == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="at least n_folds=5 cells, got 4"):
        experiments.rf_detection(real, sets["good"][:4])


def shifted(adata):
    """Genes alternately more and less frequent: a shift that all cells share."""
    x = adata.X.toarray()
    x[:, ::2] *= 10
    return AnnData(csr_matrix(x), obs=adata.obs.copy(), var=adata.var.copy())


def test_integration_hides_a_shift_of_a_set_and_adds_none(thirds):
    pytest.importorskip("harmonypy")
    real, same = thirds[0], thirds[1]
    sets = {"same": same, "shifted": shifted(same)}
    before = [adata.copy() for adata in (real, *sets.values())]
    state = np.random.get_state()[1].copy()
    arguments = {"labels_key": "cell_type", "n_trees": 50}
    plain = experiments.rf_detection(real, sets, **arguments).groupby("set")["auc"].mean()
    first, second = (experiments.rf_detection(real, sets, integrate=True, **arguments) for _ in range(2))
    areas = first.groupby("set")["auc"].mean()
    assert 0.35 < plain["same"] < 0.65 and plain["shifted"] > 0.85
    # below 0.5: the means of both sets are made equal, so those of the folds differ the other way round
    assert areas["same"] < 0.55 and areas["shifted"] < 0.6
    pd.testing.assert_frame_equal(first, second)
    assert np.array_equal(np.random.get_state()[1], state)
    for adata, copy in zip((real, *sets.values()), before, strict=True):
        assert np.array_equal(adata.X.toarray(), copy.X.toarray()) and not adata.obsm


@pytest.mark.parametrize(("n_cells", "seed"), [(5, 0), (12, 2**32 - 1)])
def test_integration_takes_few_cells_and_every_seed(thirds, n_cells, seed):
    pytest.importorskip("harmonypy")
    few = [adata[:n_cells].copy() for adata in thirds[:2]]
    table = experiments.rf_detection(*few, integrate=True, n_trees=5, seed=seed)
    assert table["auc"].between(0, 1).all()


def test_integration_says_what_to_install_and_takes_no_other_value(real, sets, monkeypatch):
    with pytest.raises(TypeError, match="integrate must be"):
        experiments.rf_detection(real, sets, integrate="harmony")
    monkeypatch.setattr(optional, "is_installed", lambda module: False)
    with pytest.raises(ImportError, match=r"integrate=True needs harmonypy: pip install 'activa-sc\[eval\]'"):
        experiments.rf_detection(real, sets, integrate=True)


def test_correlations_and_their_distance(real, sets):
    table = experiments.correlation_discrepancy(real, sets, labels_key="cell_type")
    genes = table["gene"].unique()
    matrices = {}
    for name, adata in {"real": real, **sets}.items():
        rows = table[table["set"] == name].pivot(index="gene", columns="other_gene", values="correlation")
        matrices[name] = rows.loc[genes, genes].to_numpy()
        expected = np.corrcoef(scaled(adata)[:, real.var_names.get_indexer(genes)].T)
        assert np.allclose(matrices[name], expected, atol=1e-5)
    distances = table.groupby("set")["discrepancy"].first()
    assert distances["bad"] == pytest.approx(np.linalg.norm(matrices["bad"] - matrices["real"], ord=1), abs=1e-4)
    assert distances["real"] == 0 and distances["good"] < distances["bad"]
    assert set(genes) == set(real.var_names[metrics.top_markers(scaled(real), real.obs["cell_type"])])


def test_markers_are_the_types_and_values_the_cells(real, sets):
    table = experiments.marker_expression(real, sets, labels_key="cell_type", types=["NK", "B"], n_markers=2)
    assert list(table["type"].unique()) == ["NK", "B"]
    # by the way they were made
    assert set(table.loc[table["type"] == "B", "gene"]) <= {f"gene_{i}" for i in range(5)}
    of_b = (real.obs["cell_type"] == "B").to_numpy()
    for gene, rows in table[(table["type"] == "B") & (table["set"] == "real")].groupby("gene"):
        assert np.allclose(rows["expression"], scaled(real)[of_b, real.var_names.get_loc(gene)], atol=1e-5)
    largest = experiments.marker_expression(real, sets, labels_key="cell_type")["type"].unique()
    assert list(largest) == list(real.obs["cell_type"].value_counts().index[:2])
    with pytest.raises(ValueError, match=r"types must have two real cells each, got \['C'\]"):
        experiments.marker_expression(real, sets, labels_key="cell_type", types=["C"])


def test_dropout_curve_is_the_binomial_regression(real, sets):
    table = experiments.dropout_curve(real, sets)
    genes = table[table["set"] == "real"]
    x = np.expm1(scaled(real))
    expressed = x.sum(axis=0) > 0
    assert np.allclose(genes["mean"], x.mean(axis=0)[expressed], rtol=1e-4)
    assert np.allclose(genes["dropout"], (x == 0).mean(axis=0)[expressed])
    zeros = (x == 0).sum(axis=0)[expressed]
    outcome = np.column_stack([zeros, len(x) - zeros])
    model = GLM(outcome, add_constant(np.log10(genes["mean"].to_numpy())), family=families.Binomial()).fit()
    assert np.allclose(genes["fit"], model.fittedvalues, atol=1e-5)
    assert (genes["lower"] <= genes["fit"]).all() and (genes["fit"] <= genes["upper"]).all()
    # the band is that of the fit's standard error on the logit scale
    logit = lambda p: np.log(p / (1 - p))
    error = np.sqrt(np.einsum("ij,jk,ik->i", model.model.exog, model.cov_params(), model.model.exog))
    assert np.allclose(logit(genes["upper"]) - logit(genes["fit"]), 1.96 * error, rtol=1e-2)


def test_manifold_has_all_cells_and_keeps_sets_apart_that_differ(real, sets):
    table = experiments.manifold(real, sets, labels_key="cell_type", genes=["gene_3"])
    assert table["set"].value_counts().to_dict() == {"real": 130, "good": 130, "bad": 130}
    assert list(table.loc[table["set"] == "real", "type"]) == list(real.obs["cell_type"])
    assert np.allclose(table.loc[table["set"] == "real", "gene_3"], scaled(real)[:, 3], atol=1e-5)
    assert np.isfinite(table[["UMAP1", "UMAP2", "tSNE1", "tSNE2"]]).all(axis=None)
    with pytest.raises(KeyError, match="CD4"):
        experiments.manifold(real, sets, genes=["CD4"])
    with pytest.raises(ValueError, match="at least 10 cells"):
        experiments.manifold(real[:4], sets["good"][:4])


def test_names_that_are_the_same_as_strings_are_refused(counts):
    with pytest.raises(ValueError, match="each by a name of its own"):
        experiments.rf_detection(counts, {1: counts, "1": counts})
