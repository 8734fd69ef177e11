"""Cells without clusters have the means, variances and correlations of a mixture of types, and one mode."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import kurtosis, skew
from sklearn.decomposition import PCA
from tests_helpers import make_counts, make_model

from activa.simulate import homogeneous


def sarle(values: np.ndarray) -> float:
    """Sarle's coefficient of bimodality, with Pfister's correction: 1/3 if normal, 5/9 if uniform, 1 for two values."""
    n = len(values)
    return float((skew(values) ** 2 + 1) / (kurtosis(values) + 3 * (n - 1) ** 2 / ((n - 2) * (n - 3))))


def components(x) -> np.ndarray:
    x = x.toarray() if hasattr(x, "toarray") else x
    return PCA(5, random_state=0).fit_transform(np.log1p(x / x.sum(1, keepdims=True) * 1e3))


def mixture(model, n: int, types, **asked) -> ad.AnnData:
    sizes = model.adata.obs["cell_type"].value_counts()[types]
    return model.generate(labels=(sizes / sizes.sum() * n).round().astype(int).to_dict(), **asked)


@pytest.fixture(scope="module")
def one(model) -> ad.AnnData:
    return homogeneous(model, 6_000, types=["B", "T"], batch="one", rates=True, seed=0)


@pytest.fixture(scope="module")
def two(model) -> ad.AnnData:
    return mixture(model, 6_000, ["B", "T"], batch="one", expected=True, seed=1)


def test_expected_counts_of_genes_agree(one, two):
    np.testing.assert_allclose(one.layers["rates"].mean(0), two.X.mean(0), rtol=0.05)
    np.testing.assert_allclose(one.uns["activa"]["truth"]["homogeneous"]["mean_rate"], two.X.mean(0), rtol=0.05)


def test_rates_of_genes_vary_as_much(one, two):
    ratio = one.layers["rates"].std(0) / two.X.std(0)
    assert 0.8 < ratio.min() and ratio.max() < 1.25
    log_spread = np.log(one.layers["rates"]).std(0)
    np.testing.assert_allclose(one.uns["activa"]["truth"]["homogeneous"]["log_spread"], log_spread, rtol=0.06)


def test_log_rates_are_correlated_alike(one, two):
    above = np.triu_indices(one.n_vars, 1)
    a, b = (np.corrcoef(np.log(x).T)[above] for x in (one.layers["rates"], two.X))
    assert np.corrcoef(a, b)[0, 1] > 0.99 and np.abs(a - b).max() < 0.12


def test_counts_have_the_rates(one):
    x, rates = one.X.toarray(), one.layers["rates"]
    z = (x - rates).mean(0) / np.sqrt((x - rates).var(0) / len(x))
    assert np.abs(z).max() < 4.5 and rates.dtype == np.float32


def test_there_is_one_mode(one, two):
    assert sarle(components(two.X)[:, 0]) > 0.6
    assert sarle(components(one.layers["rates"])[:, 0]) < 0.5
    # no cut in the middle: as many cells lie near the center of the first component as in a normal distribution
    first = components(one.layers["rates"])[:, 0]
    center = np.abs((first - np.median(first)) / first.std()) < 0.5
    assert center.mean() > 0.33  # 0.38 if normal


def test_batches_keep_their_effects(model):
    one, two = homogeneous(model, 4_000, rates=True, seed=0), model.generate(4_000, expected=True, seed=1)
    np.testing.assert_allclose(one.layers["rates"].mean(0), two.X.mean(0), rtol=0.08)
    effects = []
    for cells, rates in ((one, one.layers["rates"]), (two, two.X)):
        logs, second = np.log(rates), (cells.obs["batch"] == "two").to_numpy()
        effects.append(logs[second].mean(0) - logs[~second].mean(0))
    assert np.abs(effects[1]).max() > 1
    np.testing.assert_allclose(*effects, atol=0.15)


def test_one_type_and_one_batch_are_well_approximated(model):
    one = homogeneous(model, 6_000, types=["T"], batch="two", rates=True, seed=0).layers["rates"]
    two = model.generate(6_000, labels="T", batch="two", expected=True, seed=1).X
    np.testing.assert_allclose(one.mean(0), two.mean(0), rtol=0.05)
    np.testing.assert_allclose(one.std(0), two.std(0), rtol=0.2)


def test_columns_tell_the_truth(model, one):
    assert (one.obs["cell_type"] == "homogeneous").all() and (one.obs["batch"] == "one").all()
    assert one.uns["activa"]["truth"]["homogeneous"]["types"] == ["B", "T"]
    every = homogeneous(model.sampler, 50, seed=0)
    assert every.uns["activa"]["truth"]["homogeneous"]["types"] == list(model.types)
    assert list(every.obs.columns) == ["cell_type", "batch"] and every.obs["batch"].nunique() == 2


def test_a_model_without_types_has_no_column_of_types():
    cells = homogeneous(make_model(epochs=1, setup={"continuous_covariate_keys": ["age"]}), 30, seed=0)
    assert list(cells.obs.columns) == ["age"] and cells.obs["age"].between(20, 80).all()


def test_a_seed_gives_the_same_cells_and_changes_no_global_state(model):
    weights = [p.clone() for p in model.module.parameters()]
    state, torch_state = np.random.get_state()[1].copy(), torch.get_rng_state()
    first, again, other = (homogeneous(model, 1_500, rates=r, seed=s) for s, r in ((0, True), (0, False), (1, False)))
    assert (first.X != again.X).nnz == 0 and (first.X != other.X).nnz > 0
    pd.testing.assert_frame_equal(first.obs, again.obs)
    assert (np.random.get_state()[1] == state).all() and torch.equal(torch.get_rng_state(), torch_state)
    assert all(torch.equal(a, b) for a, b in zip(weights, model.module.parameters(), strict=True))


def test_cells_survive_files(one, tmp_path):
    one.write_h5ad(tmp_path / "cells.h5ad")
    one.write_zarr(tmp_path / "cells.zarr")
    for read in (ad.read_h5ad(tmp_path / "cells.h5ad"), ad.read_zarr(tmp_path / "cells.zarr")):
        assert (read.X != one.X).nnz == 0
        pd.testing.assert_frame_equal(read.obs, one.obs, check_categorical=False)
        truth, before = (cells.uns["activa"]["truth"]["homogeneous"] for cells in (read, one))
        np.testing.assert_array_equal(truth["log_spread"], before["log_spread"])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"types": "B"}, TypeError, "types must be a sequence"),
        ({"types": []}, ValueError, "at least one type"),
        ({"types": ["B", "B"]}, ValueError, "each type once"),
        ({"types": ["X"]}, KeyError, "types: \\['X'\\]"),
        ({"n": 0}, ValueError, "n must be at least 1"),
        ({"batch": "three"}, KeyError, "batch"),
        ({"rates": None}, TypeError, "rates must be True or False"),
        ({"seed": 0.5}, TypeError, "seed"),
        ({"model": None}, TypeError, "model must be"),
    ],
)
def test_bad_arguments_are_named(model, arguments, error, message):
    with pytest.raises(error, match=message):
        homogeneous(**({"model": model, "n": 10, "seed": 0} | arguments))


def test_types_without_cells_are_refused():
    cells = make_counts()
    cells.obs["cell_type"] = cells.obs["cell_type"].cat.add_categories("none")
    trained = make_model(cells, epochs=1)
    if "none" in trained.types:
        with pytest.raises(KeyError, match="no training cell"):
            homogeneous(trained, 10, types=["none"])
