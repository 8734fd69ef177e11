"""Cells move along pseudotime as the real cells do, and keep their spread."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_matrix
from scipy.stats import ks_2samp, spearmanr
from tests_helpers import make_model

from activa import ACTIVA
from activa.simulate import trajectory
from activa.simulate.trajectories import _near_cells, _smoothed


def make_continuum(n_cells: int = 600, n_genes: int = 40) -> ad.AnnData:
    """Cells of three stages: genes 0-9 rise, 10-19 fall, 20-24 peak in the middle, others do not change."""
    rng = np.random.default_rng(0)
    time = rng.beta(2, 1, size=n_cells)
    log_mean = np.tile(rng.normal(1, 0.5, size=n_genes), (n_cells, 1))
    log_mean[:, :10] += 2.5 * (time[:, None] - 0.5)
    log_mean[:, 10:20] -= 2.5 * (time[:, None] - 0.5)
    log_mean[:, 20:25] += 2 * np.exp(-(((time[:, None] - 0.5) / 0.2) ** 2))
    batch = rng.integers(2, size=n_cells)
    log_mean[batch == 1, 30:] += 0.8
    counts = rng.poisson(np.exp(log_mean + rng.normal(0, 0.2, size=(n_cells, 1))))
    obs = pd.DataFrame(
        {
            "time": 10 * time,
            "cell_type": pd.Categorical(np.array(["early", "middle", "late"])[np.digitize(time, [0.4, 0.75])]),
            "batch": pd.Categorical(np.array(["one", "two"])[batch]),
            "sex": pd.Categorical(rng.choice(["f", "m"], size=n_cells)),
            "age": 20 + 40 * time,
        },
        index=[f"cell_{i}" for i in range(n_cells)],
    )
    return ad.AnnData(csr_matrix(counts.astype(np.float32)), obs=obs)


@pytest.fixture(scope="module")
def staged() -> ACTIVA:
    covariates = {"categorical_covariate_keys": ["sex"], "continuous_covariate_keys": ["age"]}
    setup = {"labels_key": "cell_type", "batch_key": "batch", **covariates}
    return make_model(make_continuum(), epochs=25, setup=setup)


@pytest.fixture(scope="module")
def cells(staged) -> ad.AnnData:
    return trajectory(staged, "time", 2_000, rates=True, seed=0)


def by_bins(values, time, edges):
    """Mean share of each gene in bins of time."""
    share = values / values.sum(1, keepdims=True)
    return np.stack([share[np.digitize(time, edges) == i].mean(0) for i in range(len(edges) + 1)])


def test_genes_change_as_in_real_cells(staged, cells):
    real = staged.adata
    edges = np.quantile(real.obs["time"], np.linspace(0, 1, 9)[1:-1])
    before = by_bins(real.X.toarray(), real.obs["time"], edges)
    found = by_bins(cells.X.toarray(), cells.obs["pseudotime"], edges)
    # of 75 cells, a share of a few counts per cell is known up to its sampling error
    common = before[:, :25] * real.X.sum(1).mean() > 1
    np.testing.assert_allclose(np.log(found / before)[:, :25][common], 0, atol=0.3)
    correlations = [spearmanr(before[:, gene], found[:, gene])[0] for gene in range(25)]
    assert np.median(correlations) > 0.9 and min(correlations) > 0.6
    rates = by_bins(cells.layers["rates"], cells.obs["pseudotime"], edges)
    steps = np.diff(np.log(rates), axis=0)
    assert (steps[:, :10] > -0.03).all() and (steps[:, 10:20] < 0.03).all()


def test_positions_are_as_dense_as_real_cells(staged, cells):
    real = staged.adata.obs["time"]
    assert ks_2samp(cells.obs["pseudotime"], real).pvalue > 1e-3
    assert cells.obs["pseudotime"].between(real.min(), real.max()).all()


def test_types_follow_each_other(staged, cells):
    means = cells.obs.groupby("cell_type", observed=True)["pseudotime"].mean()
    real = staged.adata.obs.groupby("cell_type", observed=True)["time"].mean()
    assert means["early"] < means["middle"] < means["late"]
    assert np.abs(means - real).max() < 1.0
    sharpness = cells.obs.groupby("cell_type", observed=True)["pseudotime"].std()
    # the covariate follows time exactly, so that latents and types need not
    assert sharpness.max() < 2 * staged.adata.obs.groupby("cell_type", observed=True)["time"].std().max()


def test_cells_keep_their_spread(staged, cells):
    """Within a bin of time, latents of generated cells vary as those of real ones."""
    real = staged.adata
    z, z_new = staged.get_latent_representation(), staged.get_latent_representation(cells)
    edges = np.quantile(real.obs["time"], np.linspace(0, 1, 6)[1:-1])
    for i in range(5):
        own = z[np.digitize(real.obs["time"], edges) == i].std(0)
        new = z_new[np.digitize(cells.obs["pseudotime"], edges) == i].std(0)
        assert 0.7 < (new / own).mean() < 1.4


def test_batch_and_covariates_are_those_of_cells_near_by(staged, cells):
    real = staged.adata.obs
    assert set(cells.obs["batch"]) == {"one", "two"} and set(cells.obs["sex"]) == {"f", "m"}
    # the real cells' age is 20 + 4 t
    assert np.abs(cells.obs["age"] - 20 - 4 * cells.obs["pseudotime"]).quantile(0.95) < 2
    assert abs((cells.obs["batch"] == "two").mean() - (real["batch"] == "two").mean()) < 0.05


def test_counts_have_the_rates(cells):
    x, rates = cells.X.toarray(), cells.layers["rates"]
    z = (x - rates).mean(0) / np.sqrt((x - rates).var(0) / len(x))
    assert np.abs(z).max() < 4.5 and rates.dtype == np.float32


def test_the_mean_is_a_smooth_curve_through_noise():
    rng = np.random.default_rng(0)
    time = rng.uniform(0, 1, size=2_000)
    truth = np.column_stack([np.sin(4 * time), time**2])
    fitted = _smoothed(time, truth + rng.normal(0, 0.3, size=truth.shape))(time)
    assert np.sqrt(((fitted - truth) ** 2).mean()) < 0.04
    # ties: a pseudotime of a few values
    stages = rng.integers(6, size=600).astype(float)
    found = _smoothed(stages, stages[:, None] ** 2 + rng.normal(0, 0.1, size=(600, 1)))(np.arange(6.0))[:, 0]
    np.testing.assert_allclose(found, np.arange(6.0) ** 2, atol=0.2)


def test_near_cells_are_near():
    rng = np.random.default_rng(0)
    time, position = rng.uniform(size=400), rng.uniform(size=5_000)
    near = _near_cells(time, position, rng)
    rank = np.argsort(np.argsort(time))[near]
    assert np.abs(rank - np.searchsorted(np.sort(time), position)).max() <= 20
    assert len(np.unique(near)) == 400


def test_missing_values_are_off_the_trajectory(staged):
    column = staged.adata.obs["time"].where(staged.adata.obs["batch"] == "one")
    staged.adata.obs["branch"] = column
    try:
        cells = trajectory(staged, "branch", 200, seed=0)
    finally:
        del staged.adata.obs["branch"]
    assert (cells.obs["batch"] == "one").all()
    assert cells.uns["activa"]["truth"]["trajectory"]["n_real_cells"] == column.notna().sum()


def test_a_seed_gives_the_same_cells_and_changes_nothing(staged):
    real, state, torch_state = staged.adata.copy(), np.random.get_state()[1].copy(), torch.get_rng_state()
    first, again, other = (
        trajectory(staged, "time", 300, rates=r, seed=s) for s, r in ((0, True), (0, False), (1, False))
    )
    assert (first.X != again.X).nnz == 0 and (first.X != other.X).nnz > 0
    pd.testing.assert_frame_equal(first.obs, again.obs)
    assert (np.random.get_state()[1] == state).all() and torch.equal(torch.get_rng_state(), torch_state)
    pd.testing.assert_frame_equal(staged.adata.obs, real.obs)
    assert (staged.adata.X != real.X).nnz == 0


def test_cells_survive_files(cells, tmp_path):
    cells.write_h5ad(tmp_path / "cells.h5ad")
    cells.write_zarr(tmp_path / "cells.zarr")
    for read in (ad.read_h5ad(tmp_path / "cells.h5ad"), ad.read_zarr(tmp_path / "cells.zarr")):
        assert (read.X != cells.X).nnz == 0 and read.uns["activa"]["truth"]["trajectory"]["pseudotime"] == "time"
        pd.testing.assert_frame_equal(read.obs, cells.obs, check_categorical=False)


@pytest.mark.parametrize(
    ("column", "error", "message"),
    [
        ("nothing", KeyError, "not in model.adata.obs"),
        (3, TypeError, "must be a column"),
        ("cell_type", TypeError, "column of numbers"),
        (lambda time: time > 3, TypeError, "column of numbers"),
        (lambda time: time.where(time > 1, np.inf), ValueError, "must be finite"),
        (lambda time: time.where(np.arange(len(time)) < 20), ValueError, "got 20 distinct values of 20 cells"),
        (lambda time: time.round(-1), ValueError, "5 distinct values"),
    ],
)
def test_bad_pseudotime_is_named(staged, column, error, message):
    if callable(column):
        staged.adata.obs["made"] = column(staged.adata.obs["time"])
    try:
        with pytest.raises(error, match=message):
            trajectory(staged, "made" if callable(column) else column, 10, seed=0)
    finally:
        if callable(column):
            del staged.adata.obs["made"]


def test_a_sampler_has_no_cells(staged):
    with pytest.raises(ValueError, match="with its cells"):
        trajectory(staged.sampler, "time", 10)
    with pytest.raises(ValueError, match="n must be at least 1"):
        trajectory(staged, "time", 0)
    with pytest.raises(TypeError, match="rates must be True or False"):
        trajectory(staged, "time", 10, rates="yes")
