"""Training warns of a column that splits the types and was not registered, of no other, and changes nothing."""

import random
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from tests_helpers import QUIET, make_counts

from activa import ACTIVA
from activa.datasets import pbmc68k_reduced
from activa.model.untold import untold_columns, warn_of_untold

WARNING = r"obs\['batch'\] splits the cell types.*2 values.*AUC 0\.\d\d.*batch_key='batch'"


def cells(*columns):
    """Made cells with these columns of obs, beside the types."""
    adata = make_counts(600)
    types, rng = adata.obs["cell_type"].astype(str), np.random.default_rng(1)
    own = rng.choice(["1", "2"], size=600)
    total = np.asarray(adata.X.sum(1)).ravel()
    made = {
        "batch": adata.obs["batch"],
        "same": adata.obs["batch"].cat.rename_categories({"one": "id:1", "two": "id:2"}),
        "random": own,
        "coarser": types == "T",
        "finer": types + own,
        # splits types by their expression, as a clustering does
        "cluster": types + adata.obs["batch"].astype(str),
        "depth": pd.cut(total, np.quantile(total, [0, 0.3, 0.7, 1]), include_lowest=True),
        "phase": adata.obs["batch"],
        "score": (adata.obs["batch"] == "one") + 0.0,
        "name": adata.obs_names,
        "n_genes": np.diff(adata.X.indptr),
        "constant": "x",
        "empty": np.full(600, None),
    }
    adata.obs = pd.DataFrame({"cell_type": types, **{name: made[name] for name in columns}}, index=adata.obs_names)
    return adata


def found(adata, told=(), exclude=("cell_type",)):
    types = pd.factorize(adata.obs["cell_type"])[0]
    return untold_columns(adata.X, types, adata.obs, told=told, exclude=exclude, seed=0)


def trained(adata, **setup):
    ACTIVA.setup_anndata(adata, labels_key="cell_type", **setup)
    model = ACTIVA(adata, n_hidden=(8,), n_latent=3)
    model.train(max_epochs=2, **QUIET)
    return model


def test_an_untold_batch_is_named_and_changes_no_weight_no_cell_and_no_random_state():
    adata, without = cells("batch"), cells()
    ACTIVA.setup_anndata(adata, labels_key="cell_type")
    model = ACTIVA(adata, n_hidden=(8,), n_latent=3)
    before, x = adata.obs.copy(), adata.X.copy()
    states = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    with pytest.warns(UserWarning, match=WARNING) as told:
        model.train(max_epochs=2, **QUIET)
    assert told[0].filename == __file__
    assert random.getstate() == states[0]
    np.testing.assert_array_equal(np.random.get_state()[1], states[1])
    assert torch.equal(torch.get_rng_state(), states[2])
    pd.testing.assert_frame_equal(adata.obs, before)
    assert (adata.X != x).nnz == 0
    other = trained(without).module.state_dict()
    assert all(torch.equal(weight, other[name]) for name, weight in model.module.state_dict().items())


@pytest.mark.parametrize("setup", [{"batch_key": "batch"}, {"categorical_covariate_keys": ["batch"]}])
def test_a_registered_batch_is_not_told_of_nor_what_it_determines(setup):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.filterwarnings("ignore", module="lightning")
        trained(cells("batch", "same"), **setup)
    assert found(cells("batch", "same"), told=["batch"]) == []


def test_further_columns_are_covariates_and_others_are_told_with_the_first():
    adata = cells("random", "batch")
    ACTIVA.setup_anndata(adata, labels_key="cell_type", batch_key="random")
    with pytest.warns(UserWarning, match=r"categorical_covariate_keys=\['batch'\]\)\.$"):
        warn_of_untold(ACTIVA(adata), 0)
    adata = cells("batch")
    adata.obs["noisy"] = np.where(np.random.default_rng(0).random(600) < 0.05, "one", adata.obs["batch"])
    ACTIVA.setup_anndata(adata, labels_key="cell_type")
    with pytest.warns(UserWarning, match=r"Also recognized: obs\['noisy'\] 0\.\d\d; register what 'batch'"):
        warn_of_untold(ACTIVA(adata), 0)


def test_the_figure_is_near_that_of_another_judge():
    """Of batches that swap some genes, so that totals say nothing of them: logistic regression on all genes and types."""
    adata = make_counts(1_600)
    adata = adata[adata.obs["batch"] == "one"].copy()
    x, types = adata.X.toarray(), adata.obs["cell_type"]
    second = np.random.default_rng(0).random(adata.n_obs) < 0.5
    x[second, 20:24] = x[second, 20:24][:, ::-1]
    adata.X = type(adata.X)(x)
    adata.obs = pd.DataFrame({"cell_type": types, "run": second, "same": second * 1}, index=adata.obs_names)
    (judged,) = found(adata)
    assert (judged.column, judged.n_values, judged.n_types) == ("run", 2, 3)
    features = np.column_stack([np.log1p(1e4 * x / x.sum(1, keepdims=True)), pd.get_dummies(types)])
    score = cross_val_predict(LogisticRegression(max_iter=5_000), features, second, method="decision_function")
    assert judged.auc == pytest.approx(roc_auc_score(second, score), abs=0.05)
    assert found(adata) == [judged]


@pytest.mark.parametrize(
    "column",
    ["random", "coarser", "finer", "cluster", "depth", "phase", "score", "name", "n_genes", "constant", "empty"],
)
def test_other_columns_are_not_told_of(column):
    assert found(cells(column)) == []


def test_missing_values_and_unlabeled_cells_are_left_out():
    adata = cells("batch")
    adata.obs.loc[adata.obs_names[:50], "batch"] = None
    types = pd.factorize(adata.obs["cell_type"])[0]
    assert [f.column for f in found(adata)] == ["batch"]
    types = np.where(types == 0, types, -1)
    # a single type does not say whether the column is a batch or a finer type
    assert untold_columns(adata.X, types, adata.obs, told=[], exclude=["cell_type"], seed=0) == []


def test_clusters_and_phases_of_real_cells_are_not_told_of():
    scanpy = pytest.importorskip("scanpy")
    adata = pbmc68k_reduced()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        obs = scanpy.datasets.pbmc68k_reduced().obs
    for labels in ("bulk_labels", "louvain"):
        types = pd.factorize(obs[labels])[0]
        assert untold_columns(adata.X, types, obs, told=[], exclude=[labels], seed=0) == []
