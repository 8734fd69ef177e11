"""Ambient RNA takes the place of a share of each cell's counts, is of the profile's genes, and is told from the cell's own."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array, csr_matrix
from tests_helpers import make_counts

from activa.simulate import ambient, doublets


@pytest.fixture(scope="module")
def many() -> ad.AnnData:
    return make_counts(3_000)


def total(x) -> np.ndarray:
    return np.asarray(x.sum(axis=1)).ravel()


@pytest.mark.parametrize("share", [0.05, 0.4, 0.9])
def test_depth_is_kept_and_the_share_is_ambient(many, share):
    cells = ambient(many, share, seed=0)
    before, after, added = total(many.X), total(cells.X), total(cells.layers["ambient"])
    # variance of a cell's total: of the Poisson counts, and of the binomial ones that were kept
    sd = np.sqrt((share * before + before * share * (1 - share)).sum())
    assert abs(after.sum() - before.sum()) < 4 * sd
    assert abs(added.sum() - share * before.sum()) < 4 * np.sqrt(share * before.sum())
    # and so in each cell: standardized totals have mean 0 and variance 1
    z = (added - share * before) / np.sqrt(share * before)
    assert abs(z.mean()) < 4 / np.sqrt(len(z)) and z.var() == pytest.approx(1, abs=0.15)
    assert (cells.obs["ambient_share"] == share).all()


def test_own_counts_are_thinned_binomially(many):
    cells = ambient(many, 0.3, seed=0)
    own = (cells.X - cells.layers["ambient"]).toarray()
    before = many.X.toarray()
    assert (cells.layers["ambient"].toarray() <= cells.X.toarray()).all() and (own >= 0).all() and (own <= before).all()
    z = (own - 0.7 * before)[before > 0] / np.sqrt(0.21 * before[before > 0])
    assert abs(z.mean()) < 4 / np.sqrt(z.size) and z.var() == pytest.approx(1, abs=0.02)


def test_ambient_counts_are_of_the_profile(many):
    summed = np.asarray(many.X.sum(axis=0)).ravel()
    own = np.arange(many.n_vars)
    for profile, expected in ((None, summed / summed.sum()), (own, own / own.sum())):
        cells = ambient(many, 0.5, profile=profile, seed=0)
        found = np.asarray(cells.layers["ambient"].sum(axis=0)).ravel()
        error = np.sqrt(found.sum() * expected) + 1e-9
        assert (np.abs(found - found.sum() * expected) < 5 * error).all()
        np.testing.assert_allclose(cells.uns["activa"]["truth"]["ambient"]["profile"], expected)
    # Poisson: each gene's counts are independent, of variance equal to the mean
    x = cells.layers["ambient"].toarray()[:, 1:]
    mean = 0.5 * total(many.X)[:, None] * expected[1:]
    assert ((x - mean) ** 2 / mean).mean() == pytest.approx(1, abs=0.05)


def test_each_cell_has_its_share(many):
    shares = np.tile([0.0, 0.2, 1.0], 1_000)
    cells = ambient(many, shares, seed=0)
    x, added = cells.X.toarray(), cells.layers["ambient"].toarray()
    assert not added[shares == 0].any() and (x[shares == 0] == many.X.toarray()[shares == 0]).all()
    np.testing.assert_array_equal(x[shares == 1], added[shares == 1])
    part = added[shares == 0.2].sum() / many.X[shares == 0.2].sum()
    assert part == pytest.approx(0.2, abs=0.01)
    np.testing.assert_array_equal(cells.obs["ambient_share"], shares)
    by_name = ambient(many, pd.Series(shares, index=many.obs_names), seed=0)
    assert (by_name.X != cells.X).nnz == 0


def test_blocks_of_cells_have_their_own_random_numbers():
    counts = make_counts(30)
    many = ad.AnnData(counts.X[np.tile(np.arange(30), 400)])
    x = ambient(many, 0.5, seed=0).layers["ambient"].toarray()
    assert not np.array_equal(x[:30], x[9_990:10_020]) and x[10_000:].sum() > 0
    assert x.sum() / many.X.sum() == pytest.approx(0.5, abs=0.01)


def test_seeds(counts):
    first, again, other = (ambient(counts, 0.2, seed=seed) for seed in (3, 3, 4))
    assert (first.X != again.X).nnz == 0 and (first.layers["ambient"] != again.layers["ambient"]).nnz == 0
    assert (first.X != other.X).nnz
    drawn = ambient(counts, 0.2)
    repeated = ambient(counts, 0.2, seed=drawn.uns["activa"]["truth"]["ambient"]["seed"])
    assert (drawn.X != repeated.X).nnz == 0


@pytest.mark.parametrize("kind", ["dense", "int", "array", "layer"])
def test_counts_of_any_kind_give_the_same_and_stay_as_they_are(counts, kind):
    expected, kwargs, given = ambient(counts, 0.2, seed=0), {}, counts.copy()
    if kind == "dense":
        given.X = given.X.toarray()
    elif kind == "int":
        given.X = given.X.astype(np.int64)
    elif kind == "array":
        given.X = csr_array(given.X)
    else:
        given.layers["counts"], kwargs = given.X.copy(), {"layer": "counts"}
        given.X = given.X.copy().log1p()
    before = given.copy()
    cells = ambient(given, 0.2, seed=0, **kwargs)
    np.testing.assert_array_equal(cells.X.toarray(), expected.X.toarray())
    assert cells.X.format == cells.layers["ambient"].format == "csr"
    assert cells.X.dtype == cells.layers["ambient"].dtype == np.float32 and (cells.X.data > 0).all()
    assert (csr_matrix(given.X) != csr_matrix(before.X)).nnz == 0 and set(given.obs) == set(before.obs)
    # anndata lists X among the layers
    assert set(cells.layers) - {None} == ({"ambient", "counts"} if kwargs else {"ambient"})


@pytest.mark.parametrize("kind", ["h5ad", "zarr"])
def test_doublets_then_ambient_rna_are_written_and_read_back(model, tmp_path, kind):
    given = model.generate(120, seed=0, latents=True)
    cells = doublets(given, 0.1, labels_key="cell_type", seed=1)
    cells.obsm["kept"] = np.arange(2.0 * cells.n_obs).reshape(-1, 2)
    cells = ambient(cells, 0.1, seed=2)
    assert set(cells.uns["activa"]["truth"]) == {"doublets", "ambient"} and "truth" not in given.uns["activa"]
    assert list(cells.obsm) == ["kept"]
    expected = cells.copy()
    getattr(cells, f"write_{kind}")(tmp_path / "cells")
    read = getattr(ad, f"read_{kind}")(tmp_path / "cells")
    pd.testing.assert_frame_equal(read.obs, expected.obs)
    assert (read.X != expected.X).nnz == 0 and (read.layers["ambient"] != expected.layers["ambient"]).nnz == 0
    truth = read.uns["activa"]["truth"]["ambient"]
    np.testing.assert_array_equal(truth["profile"], expected.uns["activa"]["truth"]["ambient"]["profile"])
    assert truth["seed"] == 2


@pytest.mark.parametrize(
    "kwargs, error, match",
    [
        ({"share": -0.1}, ValueError, "share must be finite and at least 0"),
        ({"share": 1.5}, ValueError, "share must be at most 1"),
        ({"share": np.nan}, ValueError, "share must be finite"),
        ({"share": "a"}, TypeError, "share must be a number"),
        ({"share": True}, TypeError, "share must be a number"),
        ({"share": [0.1, 0.2]}, ValueError, "240 numbers"),
        ({"share": pd.Series(0.1, index=range(240))}, ValueError, "share must have the index"),
        ({"profile": 1.0}, ValueError, "profile must be 40 numbers"),
        ({"profile": np.ones(39)}, ValueError, "profile must be 40 numbers"),
        ({"profile": np.zeros(40)}, ValueError, "zeros only"),
        ({"profile": -np.ones(40)}, ValueError, "profile must be finite"),
        ({"profile": np.full(40, np.inf)}, ValueError, "profile must be finite"),
        ({"profile": ["a"] * 40}, TypeError, "profile must be numbers"),
        ({"profile": pd.Series(1.0, index=range(40))}, ValueError, "profile must have the index"),
        ({"layer": "nope"}, KeyError, "nope"),
        ({"seed": -1}, ValueError, "seed"),
    ],
)
def test_arguments_that_do_not_fit_are_named(counts, kwargs, error, match):
    with pytest.raises(error, match=match):
        ambient(counts, **kwargs)


def test_cells_that_do_not_fit_are_refused(counts):
    with pytest.raises(ValueError, match="layer 'ambient'"):
        ambient(ambient(counts, seed=0), seed=0)
    with pytest.raises(TypeError, match="adata must be an AnnData"):
        ambient(counts.X)
    counts.X = counts.X * 0.5
    with pytest.raises(ValueError, match="not whole"):
        ambient(counts)
