import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.sparse import csr_matrix
from tests_helpers import make_counts

from activa.experiments import _differential_state as module
from activa.experiments import differential_state

SHIFTED, ABSENT, RARE = "gene_30", "gene_36", "gene_32"


def make(half: int) -> AnnData:
    """Half of the cells of one distribution; one gene hardly seen."""
    adata = make_counts(1000)[half::2]
    adata = adata[adata.obs["batch"] == "one"].copy()
    counts = adata.X.toarray()
    counts[:, adata.var_names.get_loc(RARE)] = 0
    counts[0, adata.var_names.get_loc(RARE)] = 3
    adata.X = csr_matrix(counts)
    return adata


@pytest.fixture(scope="module")
def real():
    return make(0)


@pytest.fixture(scope="module")
def sets():
    same, changed = make(1), make(1)
    counts = changed.X.toarray()
    of_t = (changed.obs["cell_type"] == "T").to_numpy()
    counts[of_t, changed.var_names.get_loc(SHIFTED)] = 4 * counts[of_t, changed.var_names.get_loc(SHIFTED)] + 1
    counts[:, changed.var_names.get_loc(ABSENT)] = 0
    changed.X = csr_matrix(counts)
    return {"same": same, "changed": changed}


@pytest.fixture(scope="module")
def table(real, sets):
    return differential_state(real, sets, labels_key="cell_type")


def test_cells_of_one_distribution_show_next_to_nothing(table):
    same = table[table["set"] == "same"]
    assert len(same) > 70
    assert same["differential"].mean() < 0.03


def test_what_differs_is_found_in_its_type_alone(table):
    changed = table[table["set"] == "changed"].set_index(["type", "gene"])
    assert changed.loc[("T", SHIFTED), "differential"]
    assert changed.loc[("T", SHIFTED), "log2_fold_change"] > 2
    assert not changed.loc[("B", SHIFTED), "differential"]
    # a gene that the set lacks altogether is tested all the same
    for label in ("T", "B"):
        assert changed.loc[(label, ABSENT), "differential"]
        assert changed.loc[(label, ABSENT), "log2_fold_change"] < -2
    others = changed.drop([(label, gene) for label in ("T", "B") for gene in (SHIFTED, ABSENT)])
    assert others["differential"].mean() < 0.1


def test_rows_are_of_genes_and_types_with_enough(table, real, sets):
    assert list(table.columns) == [
        "set", "type", "gene", "cells", "log2_fold_change", "p", "p_adjusted", "differential",
    ]  # fmt: skip
    assert RARE not in set(table["gene"])
    assert not table.duplicated(["set", "type", "gene"]).any()
    for (name, label), n in table.groupby(["set", "type"])["cells"].first().items():
        assert n == min((adata.obs["cell_type"] == label).sum() for adata in (real, sets[name]))
    assert (table["differential"] == (table["p_adjusted"] < 0.05)).all()


def test_types_with_few_cells_are_left_out(real, sets, table):
    n = {label: (sets["same"].obs["cell_type"] == label).sum() for label in ("B", "NK", "T")}
    n_real = {label: (real.obs["cell_type"] == label).sum() for label in n}
    fewer = {label: min(n[label], n_real[label]) for label in n}
    kept = differential_state(real, sets["same"], labels_key="cell_type", min_cells=fewer["B"])
    assert set(kept["type"]) == {label for label in n if fewer[label] >= fewer["B"]} == {"B", "T"}
    # what a set gives does not depend on which others there are, nor on types left out
    for column in ("log2_fold_change", "p", "p_adjusted"):
        both = table[(table["set"] == "same") & table["type"].isin(["B", "T"])]
        np.testing.assert_array_equal(kept[column], both[column])
    with pytest.raises(ValueError, match="No type has 5000 cells"):
        differential_state(real, sets, labels_key="cell_type", min_cells=5000)


@pytest.mark.parametrize("normalized", [False, True])
def test_every_cell_is_in_one_replicate(real, sets, monkeypatch, normalized):
    seen = []

    def spy(sums, alpha):
        seen.append(sums)
        return np.ones((sums.shape[1], 3))

    monkeypatch.setattr(module, "_deseq2", spy)
    monkeypatch.setattr(module, "_MIN_COUNTS", 0)
    one, other = (adata[adata.obs["cell_type"] == "T"].copy() for adata in (real, sets["same"]))
    n = min(one.n_obs, other.n_obs) // 7 * 7
    one, other = one[:n].copy(), other[:n].copy()
    totals = [adata.X.toarray() for adata in (one, other)]
    if normalized:
        totals = [1e4 * x / x.sum(axis=1, keepdims=True) for x in totals]
        one.X, other.X = (csr_matrix(np.log1p(x)) for x in totals)
    differential_state(one, other, labels_key="cell_type", n_replicates=7, normalized=normalized)
    (sums,) = seen
    assert sums.shape == (14, real.n_vars)
    assert sums.dtype.kind == "i"
    for part, total in zip(np.split(sums, 2), totals, strict=True):
        # seven roundings a gene at most
        np.testing.assert_allclose(part.sum(axis=0), total.sum(axis=0), atol=4 if normalized else 0)
        if normalized:
            np.testing.assert_allclose(part.sum(axis=1), 1e4 * n / 7, rtol=0.01)
        assert len(np.unique(part, axis=0)) == 7


def test_the_seed_decides_and_nothing_is_changed(real, sets):
    before = real.copy()
    state = np.random.get_state()[1].copy()
    few = {"labels_key": "cell_type", "min_cells": 100}
    first, again, other = (differential_state(real, sets["same"], seed=seed, **few) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first, again)
    assert not np.array_equal(first["p"], other["p"])
    assert np.array_equal(np.random.get_state()[1], state)
    assert (before.X != real.X).nnz == 0
    pd.testing.assert_frame_equal(before.obs, real.obs)


def test_cells_that_are_all_alike_differ(real):
    of_t = real[real.obs["cell_type"] == "T"].copy()
    copies = AnnData(of_t.X[np.zeros(of_t.n_obs, dtype=int)], obs=of_t.obs, var=of_t.var)
    table = differential_state(of_t, copies, labels_key="cell_type")
    assert table["differential"].mean() > 0.5


def test_one_gene_is_enough(real, sets):
    table = differential_state(real[:, :1], sets["same"][:, :1], labels_key="cell_type")
    assert set(table["gene"]) == {"gene_0"}


@pytest.mark.parametrize(
    "kwargs, error, match",
    [
        ({"n_replicates": 1}, ValueError, "n_replicates must be at least 2"),
        ({"n_replicates": 30}, ValueError, "min_cells must be at least n_replicates=30"),
        ({"alpha": 1.0}, ValueError, "alpha must be between 0 and 1"),
        ({"labels_key": "kind"}, KeyError, "kind"),
        ({"layer": "raw"}, KeyError, "raw"),
        ({"normalized": True}, ValueError, "normalized=True"),
    ],
)
def test_bad_input_is_refused(real, sets, kwargs, error, match):
    with pytest.raises(error, match=match):
        differential_state(real, sets, **({"labels_key": "cell_type"} | kwargs))


def test_empty_cells_are_refused(real):
    empty = real.copy()
    empty.X = csr_matrix(real.shape, dtype=np.float32)
    with pytest.raises(ValueError, match="synthetic has a pseudo-replicate of 'B' without counts"):
        differential_state(real, empty, labels_key="cell_type")
