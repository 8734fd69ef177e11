from typing import get_args

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_matrix
from tests_helpers import QUIET, make_counts, make_model

from activa import ACTIVA
from activa.settings import Architecture, GeneLikelihood


@pytest.mark.parametrize("gene_likelihood", get_args(GeneLikelihood))
@pytest.mark.parametrize("architecture", get_args(Architecture))
def test_every_form_trains_generates_and_answers(gene_likelihood, architecture):
    adata = make_counts()
    if gene_likelihood in ("normal", "mse"):
        adata.X = csr_matrix(np.log1p(adata.X.toarray()))
    setup = {"labels_key": "cell_type", "batch_key": "batch"}
    model = make_model(adata, epochs=4, setup=setup, gene_likelihood=gene_likelihood, architecture=architecture)
    # the filter of the deep architecture would let only the most frequent type through after so few epochs
    cells = model.generate(60, labels="T", seed=0).X.toarray()
    assert (cells >= 0).all() and np.isfinite(cells).all()
    if gene_likelihood not in ("normal", "mse"):
        assert (cells == np.round(cells)).all()
    n, g = adata.shape
    assert model.get_latent_representation().shape == (n, 5)
    assert model.get_normalized_expression().shape == (n, g)
    assert np.isfinite(float(model.get_elbo())) and np.isfinite(model.get_marginal_ll(n_mc_samples=3))
    assert set(model.get_reconstruction_error()) == {"reconstruction_loss"}
    samples = model.posterior_predictive_sample(n_samples=2)
    assert samples.shape == (n, g, 2) and (samples.todense() >= 0).all()
    assert model.posterior_predictive_sample().shape == (n, g)


def test_several_hidden_layers(counts):
    ACTIVA.setup_anndata(counts, labels_key="cell_type")
    model = ACTIVA(counts, n_hidden=(24, 16), n_latent=5)
    model.train(max_epochs=2, **QUIET)
    assert model.generate(30, seed=0).shape == (30, counts.n_vars)
    assert model.settings.n_hidden == (24, 16)


def test_the_elbo_bounds_the_marginal_likelihood(model):
    assert model.get_marginal_ll(n_mc_samples=50) > float(model.get_elbo())


def test_predict(model):
    hard, soft = model.predict(), model.predict(soft=True)
    assert hard.shape == (model.adata.n_obs,) and set(hard) <= set(model.types)
    np.testing.assert_allclose(soft.sum(axis=1), 1, rtol=1e-5)
    assert list(soft.columns) == list(model.types) and list(soft.index) == list(model.adata.obs_names)
    assert (soft.idxmax(axis=1) == hard).all()
    # other cells, which need no labels and are left as they are
    other = make_counts(seed=5)[:, :].copy()
    other.obs = other.obs[[]]
    keys = set(other.uns)
    assert (model.predict(other) == make_counts(seed=5).obs["cell_type"].to_numpy()).mean() > 0.8
    assert set(other.uns) == keys and other.obs.empty
    assert (model.predict(indices=[3, 4]) == hard[3:5]).all()
    with pytest.raises(ValueError, match="no cell"):
        model.predict(indices=[])


def test_saved_and_loaded_without_data(model, tmp_path):
    model.save(tmp_path / "model")
    loaded = ACTIVA.load(tmp_path / "model", adata=False, accelerator="cpu")
    assert loaded.adata is None and list(loaded.types) == list(model.types)
    kwargs = {"labels": {"T": 20, "NK": 9}, "seed": 1}
    np.testing.assert_array_equal(loaded.generate(**kwargs).X.toarray(), model.generate(**kwargs).X.toarray())
    pd.testing.assert_frame_equal(loaded.generate(**kwargs).obs, model.generate(**kwargs).obs)
    pd.testing.assert_frame_equal(loaded.generate(**kwargs).var, model.adata.var)
    assert (loaded.predict(model.adata) == model.predict()).all()
    for call in (
        loaded.get_latent_representation,
        loaded.get_elbo,
        loaded.predict,
        loaded.train,
        lambda: loaded.augment(3),
    ):
        with pytest.raises(ValueError, match="without data"):
            call()


def test_saved_and_loaded_with_data(model, tmp_path):
    before = model.adata.copy()
    model.save(tmp_path / "model", save_anndata=True)
    # anndata makes categories of the strings that it writes
    pd.testing.assert_frame_equal(model.adata.var, before.var)
    pd.testing.assert_frame_equal(model.adata.obs, before.obs)
    for adata in (None, make_counts()):
        loaded = ACTIVA.load(tmp_path / "model", adata=adata, accelerator="cpu")
        np.testing.assert_allclose(loaded.get_latent_representation(), model.get_latent_representation(), atol=1e-5)
        np.testing.assert_array_equal(loaded.generate(9, seed=0).X.toarray(), model.generate(9, seed=0).X.toarray())
    loaded.train(max_epochs=1, **QUIET)  # and goes on


def test_loading_refuses_other_genes(model, tmp_path):
    model.save(tmp_path / "model")
    fewer, other, reordered = make_counts()[:, :30].copy(), make_counts(), make_counts()[:, ::-1].copy()
    other.var_names = [f"other_{g}" for g in other.var_names]
    for adata, match in ((fewer, "30 genes"), (other, "other|not among"), (reordered, "another order")):
        with pytest.warns(UserWarning, match="var_names"), pytest.raises(ValueError, match=match):
            ACTIVA.load(tmp_path / "model", adata=adata, accelerator="cpu")
        with pytest.raises(ValueError, match=match):
            model.get_latent_representation(adata)
        with pytest.raises(ValueError, match=match):
            model.predict(adata)


def bad(change):
    adata = make_counts()
    change(adata)
    return adata


def set_value(value):
    def change(adata):
        adata.X = adata.X.toarray()
        adata.X[3, 4] = value

    return change


@pytest.mark.parametrize("sparse", [True, False])
@pytest.mark.parametrize(
    "value, match", [(-1.0, "negative"), (np.nan, "not finite"), (np.inf, "not finite"), (0.5, "not whole")]
)
def test_values_that_are_no_counts(value, match, sparse):
    adata = bad(set_value(value))
    if sparse:
        adata.X = csr_matrix(adata.X)
    ACTIVA.setup_anndata(adata, labels_key="cell_type")
    with pytest.raises(ValueError, match=match):
        ACTIVA(adata)


def test_log_normalized_values(counts):
    counts.X = np.log1p(counts.X.toarray())
    ACTIVA.setup_anndata(counts, labels_key="cell_type")
    for gene_likelihood in ("nb", "nb-outlier"):
        with pytest.raises(ValueError, match="gene_likelihood='normal'"):
            ACTIVA(counts, gene_likelihood=gene_likelihood)
    ACTIVA(counts, gene_likelihood="normal")
    counts.X[0, 0] = -0.1
    with pytest.raises(ValueError, match="negative"):
        ACTIVA(counts, gene_likelihood="normal")


@pytest.mark.parametrize(
    "kwargs, match",
    [
        ({"gene_likelihood": "gauss"}, "gene_likelihood"),
        ({"architecture": "wide"}, "architecture"),
        ({"protein_likelihood": "gauss"}, "protein_likelihood"),
        ({"protein_likelihood": "nb"}, "setup_mudata"),
        ({"dropout_rate": 1.0}, "dropout_rate"),
        ({"n_hidden": ()}, "n_hidden"),
        ({"n_latent": 0}, "n_latent"),
    ],
)
def test_arguments_that_are_no_choice(counts, kwargs, match):
    ACTIVA.setup_anndata(counts, labels_key="cell_type")
    with pytest.raises(ValueError, match=match):
        ACTIVA(counts, **kwargs)


def test_cells_without_counts(counts):
    counts.X = counts.X.toarray()
    counts.X[7] = 0
    ACTIVA.setup_anndata(counts, labels_key="cell_type")
    with pytest.raises(ValueError, match="1 cells without any counts"):
        ACTIVA(counts)


@pytest.mark.parametrize(
    "setup, error, match",
    [
        ({"labels_key": "nope"}, KeyError, "labels_key='nope'"),
        ({"batch_key": "nope"}, KeyError, "batch_key='nope'"),
        ({"layer": "nope"}, KeyError, "layer='nope'"),
        ({"categorical_covariate_keys": ["nope"]}, KeyError, "nope"),
        ({"continuous_covariate_keys": ["cell_type"]}, ValueError, "finite numbers"),
        ({"categorical_covariate_keys": "sex"}, TypeError, "list"),
        ({"size_factor_key": "negative"}, ValueError, "positive"),
        ({"labels_key": "holes"}, ValueError, "missing for 5 of 240"),
        ({"unlabeled_category": "x"}, ValueError, "labels_key"),
        ({"labels_key": "same", "unlabeled_category": "x"}, ValueError, "every cell"),
        ({"labels_key": "cell_type", "unlabeled_category": 3}, ValueError, "cannot be a value of labels_key"),
    ],
)
def test_setup_refuses(counts, setup, error, match):
    counts.obs["holes"] = counts.obs["cell_type"].astype(object)
    counts.obs.loc[counts.obs_names[:5], "holes"] = np.nan
    counts.obs["negative"] = -1.0
    counts.obs["same"] = "x"
    before = counts.copy()
    with pytest.raises(error, match=match):
        ACTIVA.setup_anndata(counts, **setup)
    pd.testing.assert_frame_equal(counts.obs, before.obs)
    assert set(counts.uns) == set(before.uns)


def test_setup_refuses_what_is_no_anndata():
    with pytest.raises(TypeError, match="AnnData"):
        ACTIVA.setup_anndata(np.ones((3, 3)))
    with pytest.raises(ValueError, match="0 cells"):
        ACTIVA.setup_anndata(make_counts()[:0].copy())


def test_a_seed_sets_the_first_weights_and_leaves_global_state(counts):
    ACTIVA.setup_anndata(counts, labels_key="cell_type")
    state = torch.get_rng_state()
    first, second, other = ACTIVA(counts, seed=1), ACTIVA(counts, seed=1), ACTIVA(counts, seed=2)
    assert torch.equal(torch.get_rng_state(), state)
    same = [torch.equal(a, b) for a, b in zip(first.module.parameters(), second.module.parameters(), strict=True)]
    differ = [torch.equal(a, b) for a, b in zip(first.module.parameters(), other.module.parameters(), strict=True)]
    assert all(same) and not all(differ)
