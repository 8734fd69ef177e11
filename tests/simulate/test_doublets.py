"""Doublets are sums of two cells that are used nowhere else, in the numbers asked for, and are told from the others."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array, csr_matrix
from tests_helpers import make_counts

from activa.simulate import doublets


def make(adata: ad.AnnData, share: float = 0.2, **kwargs) -> ad.AnnData:
    return doublets(adata, share, **{"labels_key": "cell_type", "seed": 0} | kwargs)


def parents(cells: ad.AnnData) -> list[list[str]]:
    """Names of the one or two input cells of each cell, which its name tells."""
    return [name.split("+") for name in cells.obs_names]


@pytest.mark.parametrize("share", [0, 0.01, 0.1, 1 / 3, 0.5, 0.77, 1])
@pytest.mark.parametrize("n", [1, 2, 7, 100, 101, 240])
def test_the_share_is_exact_and_at_most_one_cell_is_left_out(counts, share, n):
    cells = make(counts[:n].copy(), share)
    n_doublets = int(cells.obs["doublet"].sum())
    assert n_doublets == round(share * cells.n_obs)
    assert n - 1 <= cells.n_obs + n_doublets <= n
    # no larger number of cells could be made
    assert cells.n_obs + 1 + round(share * (cells.n_obs + 1)) > n


@pytest.mark.parametrize("kwargs", [{}, {"heterotypic_share": 0.3}])
def test_counts_are_the_sums_of_the_cells_used_once(counts, kwargs):
    cells = make(counts, 0.25, **kwargs)
    used = parents(cells)
    flat = [name for names in used for name in names]
    assert len(set(flat)) == len(flat) == counts.n_obs and set(flat) == set(counts.obs_names)
    assert [len(names) == 2 for names in used] == cells.obs["doublet"].tolist()
    expected = np.stack([counts[names].X.toarray().sum(0) for names in used])
    np.testing.assert_array_equal(cells.X.toarray(), expected)
    assert cells.X.sum() == counts.X.sum()
    assert cells.X.format == "csr" and cells.X.dtype == np.float32


def test_types_are_those_of_the_two_cells(counts):
    cells = make(counts, 0.3)
    types = counts.obs["cell_type"]
    for (_, row), names in zip(cells.obs.iterrows(), parents(cells), strict=True):
        assert row["cell_type"] == types[names[0]]
        if len(names) == 1:
            assert row["doublet_type"] == "singlet" and pd.isna(row["doublet_with"])
        else:
            assert row["doublet_with"] == types[names[1]]
            same = types[names[0]] == types[names[1]]
            assert row["doublet_type"] == ("homotypic" if same else "heterotypic")
    assert cells.obs["doublet_with"].cat.categories.tolist() == ["B", "NK", "T"]
    # the other columns are the first cell's
    np.testing.assert_array_equal(cells.obs["age"], counts.obs.loc[[n[0] for n in parents(cells)], "age"])


@pytest.mark.parametrize("share", [0, 0.25, 0.5, 1])
def test_the_share_of_heterotypic_doublets_is_exact(counts, share):
    cells = make(counts, 0.2, heterotypic_share=share)
    n_doublets = int(cells.obs["doublet"].sum())
    assert (cells.obs["doublet_type"] == "heterotypic").sum() == round(share * n_doublets)
    assert (cells.obs["doublet_type"] == "homotypic").sum() == n_doublets - round(share * n_doublets)


def test_random_pairs_come_as_types_do():
    counts = make_counts(6_000, 20)
    p = counts.obs["cell_type"].value_counts(normalize=True).sort_index()
    for kwargs in ({}, {"heterotypic_share": 1.0}):
        cells = make(counts, 0.05, **kwargs).obs
        pairs = pd.crosstab(cells["cell_type"], cells["doublet_with"])
        expected = np.outer(p, p) if not kwargs else np.outer(p, p) * (1 - np.eye(3))
        found, expected = pairs.to_numpy() / pairs.to_numpy().sum(), expected / expected.sum()
        np.testing.assert_allclose(found, expected, atol=4 * np.sqrt(0.1 / pairs.to_numpy().sum()))


@pytest.mark.parametrize("sizes", [{"B": 50, "T": 50}, {"B": 40, "T": 20, "NK": 20}, {"B": 34, "T": 33, "NK": 33}])
def test_every_cell_can_be_in_a_heterotypic_doublet(sizes):
    """As many pairs as there can be are found: greedy drawing could strand cells of one type."""
    counts = make_counts(sum(sizes.values()))
    counts.obs["cell_type"] = np.repeat(list(sizes), list(sizes.values()))
    cells = make(counts, 1, heterotypic_share=1)
    assert cells.n_obs == sum(sizes.values()) // 2 and (cells.obs["doublet_type"] == "heterotypic").all()


def test_seeds_and_an_order_that_does_not_tell(counts):
    first, again, other = make(counts), make(counts), make(counts, seed=1)
    assert (first.X != again.X).nnz == 0 and list(first.obs_names) == list(again.obs_names)
    assert set(first.obs_names) != set(other.obs_names)
    places = np.flatnonzero(first.obs["doublet"])
    assert places.min() < 30 and places.max() > 170
    singlets = [int(name.removeprefix("cell_")) for name in first.obs_names[~first.obs["doublet"]]]
    assert abs(np.corrcoef(singlets, range(len(singlets)))[0, 1]) < 0.3


@pytest.mark.parametrize("kind", ["dense", "int", "array", "view", "layer", "names"])
def test_counts_of_any_kind_give_the_same_and_stay_as_they_are(counts, kind):
    expected, kwargs, given = make(counts), {}, counts.copy()
    if kind == "dense":
        given.X = given.X.toarray()
    elif kind == "int":
        given.X = given.X.astype(np.int64)
    elif kind == "array":
        given.X = csr_array(given.X)
    elif kind == "view":
        given = ad.concat([given, given[:3]], index_unique="-")[: counts.n_obs]
    elif kind == "layer":
        given.layers["counts"], kwargs = given.X.copy(), {"layer": "counts"}
        given.X = given.X.copy().log1p()
    elif kind == "names":
        given.obs["cell_type"] = given.obs["cell_type"].astype(str)
    before = given.copy()
    cells = make(given, **kwargs)
    np.testing.assert_array_equal(cells.X.toarray(), expected.X.toarray())
    assert list(cells.obs["doublet_type"]) == list(expected.obs["doublet_type"])
    pd.testing.assert_frame_equal(given.obs, before.obs)
    assert (csr_matrix(given.X) != csr_matrix(before.X)).nnz == 0 and set(given.uns) == set(before.uns)
    assert ("counts" in cells.layers) == (kind == "layer")


def test_what_is_kept(model):
    given = model.generate(100, seed=0)
    given.varm["effects"] = np.ones((given.n_vars, 2))
    given.uns["activa"]["truth"] = {"other": {"seed": 3}}
    cells = make(given, heterotypic_share=0.5)
    pd.testing.assert_frame_equal(cells.var, given.var)
    np.testing.assert_array_equal(cells.varm["effects"], given.varm["effects"])
    assert cells.uns["activa"]["seed"] == 0 and set(given.uns["activa"]["truth"]) == {"other"}
    truth = {"share": 0.2, "labels_key": "cell_type", "seed": 0, "heterotypic_share": 0.5}
    assert cells.uns["activa"]["truth"] == {"other": {"seed": 3}, "doublets": truth}


def test_names_are_unique_though_the_cells_were_not(counts):
    counts.obs_names = ["a"] * counts.n_obs
    assert make(counts).obs_names.is_unique


@pytest.mark.parametrize("kind", ["h5ad", "zarr"])
def test_what_is_written_reads_back_equal(counts, tmp_path, kind):
    cells = make(counts)
    expected = cells.copy()
    getattr(cells, f"write_{kind}")(tmp_path / "cells")
    read = getattr(ad, f"read_{kind}")(tmp_path / "cells")
    pd.testing.assert_frame_equal(read.obs, expected.obs)
    assert (read.X != expected.X).nnz == 0 and read.uns["activa"]["truth"] == expected.uns["activa"]["truth"]


def fractions(adata: ad.AnnData) -> None:
    adata.X = adata.X * 0.5


def negatives(adata: ad.AnnData) -> None:
    adata.X = -adata.X


def a_missing_value(adata: ad.AnnData) -> None:
    adata.X.data[3] = np.nan


def an_empty_cell(adata: ad.AnnData) -> None:
    adata.X = csr_matrix(adata.X.toarray() * (np.arange(adata.n_obs) > 0)[:, None])


def a_missing_type(adata: ad.AnnData) -> None:
    adata.obs.loc[adata.obs_names[0], "cell_type"] = np.nan


def a_doublet_column(adata: ad.AnnData) -> None:
    adata.obs["doublet"] = False


def an_ambient_layer(adata: ad.AnnData) -> None:
    adata.layers["ambient"] = adata.X.copy()


@pytest.mark.parametrize(
    "change, error, match",
    [
        (fractions, ValueError, "not whole, got .*layer="),
        (negatives, ValueError, "negative"),
        (a_missing_value, ValueError, "not finite"),
        (an_empty_cell, ValueError, "without any counts"),
        (a_missing_type, ValueError, "is missing for 1"),
        (a_doublet_column, ValueError, r"\['doublet'\]"),
        (an_ambient_layer, ValueError, "doublets first"),
    ],
)
def test_cells_that_do_not_fit_are_refused(counts, change, error, match):
    change(counts)
    with pytest.raises(error, match=match):
        make(counts)


@pytest.mark.parametrize(
    "kwargs, error, match",
    [
        ({"share": -0.1}, ValueError, "share must be"),
        ({"share": 1.1}, ValueError, "share must be"),
        ({"share": np.nan}, ValueError, "share must be"),
        ({"share": "a"}, TypeError, "share must be"),
        ({"share": [0.1]}, TypeError, "share must be"),
        ({"heterotypic_share": 2}, ValueError, "heterotypic_share must be"),
        ({"heterotypic_share": True}, TypeError, "heterotypic_share must be"),
        ({"labels_key": "nope"}, KeyError, "nope"),
        ({"labels_key": None}, TypeError, "labels_key"),
        ({"layer": "nope"}, KeyError, "nope"),
        ({"layer": 3}, TypeError, "layer"),
        ({"seed": -1}, ValueError, "seed"),
        ({"seed": "a"}, TypeError, "seed"),
        ({"share": 1, "heterotypic_share": 1}, ValueError, "different types, and there are at most"),
        (
            {"share": 1, "heterotypic_share": 0, "labels_key": "each"},
            ValueError,
            "of one type, and there are at most 0",
        ),
    ],
)
def test_arguments_that_do_not_fit_are_named(counts, kwargs, error, match):
    counts.obs["each"] = counts.obs_names
    with pytest.raises(error, match=match):
        make(counts, **{"share": 0.1} | kwargs)


def test_only_anndata_is_taken(counts):
    with pytest.raises(TypeError, match="adata must be an AnnData"):
        make(counts.X)
