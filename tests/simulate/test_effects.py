"""Effects against the sampler's own rates and moments, and models and arguments at the edges of what effects take."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import kstest, ttest_ind
from tests_helpers import make_counts, make_model

from activa import ACTIVA, simulate
from activa.simulate import Abundance, Depth, Dispersion, Donors, Expression


@pytest.fixture(scope="module")
def small() -> ACTIVA:
    """A model of 60 genes; tests must not change it."""
    return make_model(make_counts(300, 60), epochs=15, setup={"labels_key": "cell_type", "batch_key": "batch"})


def renamed(**names: object) -> ACTIVA:
    counts = make_counts(200, 30)
    counts.obs["cell_type"] = counts.obs["cell_type"].cat.rename_categories(names)
    return make_model(counts, epochs=1)


def test_rates_are_those_that_the_sampler_generates_times_the_fold_change(small):
    effects = [Expression(["gene_3", "gene_7"], [2.0, -1.0], types=["B"]), Expression(["gene_3"], [0.5])]
    cells = simulate.experiment(small, 200, conditions={"treated": effects}, rates=True, seed=4)
    types = cells.obs["cell_type"].astype(str)
    plain = small.sampler.generate(labels=types.tolist(), expected=True, seed=4)
    asked = np.zeros(cells.shape)
    is_b = (types == "B").to_numpy()
    asked[:, 3] = 0.5 + 2.0 * is_b
    asked[:, 7] = -1.0 * is_b
    np.testing.assert_allclose(cells.layers["rates"], plain.X * 2**asked, rtol=1e-4)
    pd.testing.assert_series_equal(cells.obs["batch"].reset_index(drop=True), plain.obs["batch"].reset_index(drop=True))


def test_the_quadratic_term_of_the_variance_multiplies(small):
    genes = [f"gene_{i}" for i in range(60)]
    conditions = {f"{factor:g}": [Dispersion(genes, factor)] for factor in (1.0, 2.0, 4.0)}
    cells = simulate.experiment(small, 6000, conditions=conditions, paired=True, rates=True, seed=0)
    squares = (cells.X.toarray() - cells.layers["rates"]) ** 2
    of = cells.obs["condition"].to_numpy()
    one, two, four = (squares[of == name].mean(0) for name in conditions)
    # whatever the clumping and the outliers add, the variance is linear in the factor
    ratio = ((four - one) / one).sum() / ((two - one) / one).sum()
    assert ratio == pytest.approx(3, rel=0.15)


def test_p_values_of_a_gene_are_uniform_over_experiments_where_nothing_differs(small):
    # over the genes of one experiment they are not independent: a chance difference in depth moves all genes together
    found = []
    for seed in range(40):
        cells = simulate.experiment(small, 100, conditions={"a": [], "b": []}, labels="T", batch="one", seed=seed)
        log, is_a = np.log1p(cells.X.toarray().astype(float)), (cells.obs["condition"] == "a").to_numpy()
        found.append(ttest_ind(log[is_a], log[~is_a]).pvalue)
    assert np.mean(np.array(found) < 0.05) == pytest.approx(0.05, abs=0.02)
    assert np.mean([kstest(p, "uniform").pvalue < 0.05 for p in np.transpose(found)]) < 0.15


def test_model_and_training_cells_are_left_as_they_were(small):
    weights = {name: value.clone() for name, value in small.module.state_dict().items()}
    obs, x = small.adata.obs.copy(), small.adata.X.copy()
    effects = [Expression(5), Dispersion(5, 2.0), Abundance({"B": 2.0}), Depth(0.5)]
    simulate.experiment(small, 50, conditions={"a": [], "b": effects}, donors=Donors(2), seed=0)
    assert all(torch.equal(weights[name], value) for name, value in small.module.state_dict().items())
    pd.testing.assert_frame_equal(small.adata.obs, obs)
    assert (small.adata.X != x).nnz == 0


def test_numbers_of_genes_may_be_numpys(small):
    ours, theirs = (
        simulate.experiment(small, 5, conditions={"a": [Expression(n), Dispersion(n, 2.0)]}, seed=0).varm
        for n in (3, np.int64(3))
    )
    for name in ("log2_fold_change_a", "log2_dispersion_a"):
        pd.testing.assert_frame_equal(ours[name], theirs[name])
    with pytest.raises(ValueError, match="where genes are drawn"):
        Expression(np.int64(2), [1.0, 2.0])


def test_types_may_be_numbers():
    effects = [Expression(["gene_0"], [1.0], types=[1]), Abundance({1: 2.0})]
    cells = simulate.experiment(renamed(B=0, NK=1, T=2), 20, conditions={"a": effects}, seed=0)
    assert cells.varm["log2_fold_change_a"].loc["gene_0"].tolist() == pytest.approx([0, 1, 0])


def test_types_with_one_name_in_files_are_refused():
    with pytest.raises(ValueError, match="x_y"):
        simulate.experiment(renamed(B="x/y", NK="x_y"), 20, conditions={"a": []}, seed=0)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", 3])
def test_conditions_that_files_cannot_name_are_refused(small, name):
    with pytest.raises(ValueError, match="conditions must have names"):
        simulate.experiment(small, 5, conditions={name: []}, seed=0)


def test_a_condition_without_effects_stays_in_files(small, tmp_path):
    cells = simulate.experiment(small, 20, conditions={"control": [], "half": [Depth(0.5)]}, seed=0)
    cells.write_h5ad(tmp_path / "cells.h5ad")
    cells.write_zarr(tmp_path / "cells.zarr")
    for read in (ad.read_h5ad(tmp_path / "cells.h5ad"), ad.read_zarr(tmp_path / "cells.zarr")):
        assert read.uns["activa"]["truth"]["conditions"]["control"] == {}
        assert not read.varm["log2_fold_change_control"].any(axis=None)
        assert read.obs["condition"].cat.categories.tolist() == ["control", "half"]
        assert (read.X != cells.X).nnz == 0


def test_columns_are_refused_only_where_they_are_written():
    counts = make_counts(200, 30)
    counts.obs["donor"] = counts.obs["batch"]
    model = make_model(counts, epochs=1, setup={"labels_key": "cell_type", "batch_key": "donor"})
    cells = simulate.experiment(model, 10, conditions={"a": []}, seed=0)
    assert set(cells.obs["donor"]) <= {"one", "two"}
    with pytest.raises(ValueError, match="donor"):
        simulate.experiment(model, 10, conditions={"a": []}, donors=Donors(2), seed=0)


@pytest.mark.filterwarnings("ignore:Variable names are not unique:UserWarning")
def test_genes_whose_names_repeat_are_refused():
    counts = make_counts(200, 30)
    counts.var_names = ["twice", "twice", *counts.var_names[2:]]
    with pytest.raises(ValueError, match="var_names"):
        Donors.learn(counts, donor_key="batch", labels_key="cell_type", n=2)


def test_variances_that_are_no_numbers_are_refused():
    with pytest.raises(TypeError, match="variance"):
        Donors(2, pd.Series(["high"], index=["gene_0"]))
