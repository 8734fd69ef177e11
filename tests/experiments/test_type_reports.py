"""Scores and differences, type by type."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.sparse import csr_matrix
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score
from tests_helpers import make_counts

from activa import ACTIVA
from activa.experiments import classifier_report, differential_state, type_reports

SHIFTED, ABSENT, RARE = "gene_30", "gene_36", "gene_32"


@pytest.fixture(scope="module")
def test_cells():
    return make_counts(seed=7)


@pytest.fixture(scope="module")
def report(model, test_cells):
    return classifier_report(model, model.adata, test_cells, labels_key="cell_type")


def test_rows_are_types_and_summaries_of_both_sets(report, model, test_cells):
    assert list(report.columns) == ["set", "type", "precision", "recall", "f1", "cells"]
    names = ["B", "NK", "T", "accuracy", "macro average", "weighted average"]
    assert list(report["set"]) == ["train"] * 6 + ["test"] * 6
    assert list(report["type"]) == names * 2
    for name, adata in {"train": model.adata, "test": test_cells}.items():
        cells = report[report["set"] == name].set_index("type")["cells"]
        for label, n in adata.obs["cell_type"].value_counts().items():
            assert cells[label] == n
        assert (cells[names[3:]] == adata.n_obs).all()


def test_scores_are_scikit_learns(report, model, test_cells):
    for name, adata in {"train": model.adata, "test": test_cells}.items():
        scores = report[report["set"] == name].set_index("type")
        true, predicted = adata.obs["cell_type"].astype(str), model.predict(adata)
        assert scores.loc["accuracy", "f1"] == pytest.approx(accuracy_score(true, predicted))
        assert scores.loc["accuracy", ["precision", "recall"]].isna().all()
        for column, score in {"precision": precision_score, "recall": recall_score, "f1": f1_score}.items():
            of_types = score(true, predicted, average=None, labels=["B", "NK", "T"])
            np.testing.assert_allclose(scores.loc[["B", "NK", "T"], column].astype(float), of_types)
            for average in ("macro", "weighted"):
                assert scores.loc[f"{average} average", column] == pytest.approx(
                    score(true, predicted, average=average)
                )
    # the test set is not the training set, and the classifier is not perfect on it
    test = report[report["set"] == "test"].set_index("type")["f1"]
    assert 0.5 < test["accuracy"] < 1


def test_types_that_were_not_learnt_or_are_not_there(model, test_cells):
    unknown = test_cells.copy()
    unknown.obs["cell_type"] = unknown.obs["cell_type"].cat.rename_categories({"NK": "Mast"})
    scores = classifier_report(model, model.adata, unknown, labels_key="cell_type")
    scores = scores[scores["set"] == "test"].set_index("type")
    assert (scores.loc["Mast", ["precision", "recall", "f1"]] == 0).all()
    assert scores.loc["Mast", "cells"] == (test_cells.obs["cell_type"] == "NK").sum()
    assert scores.loc["NK", "cells"] == 0
    only_t = test_cells[test_cells.obs["cell_type"] == "T"]
    alone = classifier_report(model, model.adata, only_t, labels_key="cell_type")
    assert alone[alone["set"] == "test"].set_index("type").loc["T", "precision"] == 1


def test_a_report_changes_nothing(model, test_cells):
    before, state = test_cells.copy(), np.random.get_state()[1].copy()
    classifier_report(model, test_cells, test_cells, labels_key="cell_type")
    pd.testing.assert_frame_equal(before.obs, test_cells.obs)
    assert (before.X != test_cells.X).nnz == 0 and not test_cells.uns
    assert np.array_equal(np.random.get_state()[1], state)


def test_sets_that_do_not_fit_the_model_are_refused(model, test_cells):
    missing = test_cells.copy()
    missing.obs["cell_type"] = missing.obs["cell_type"].cat.remove_categories("NK")
    for sets, error, match in (
        ((test_cells, missing), ValueError, "labels_key='cell_type' is missing for .* of test"),
        ((test_cells.X, test_cells), TypeError, "train must be an AnnData"),
        ((test_cells, test_cells[:, :5]), ValueError, "adata has 5 genes"),
        ((test_cells, test_cells[:0]), ValueError, "no cell"),
    ):
        with pytest.raises(error, match=match):
            classifier_report(model, *sets, labels_key="cell_type")
    with pytest.raises(KeyError, match="labels_key 'kind' is not in train.obs"):
        classifier_report(model, test_cells, test_cells, labels_key="kind")
    counts = make_counts()
    ACTIVA.setup_anndata(counts, labels_key="cell_type")
    with pytest.raises(RuntimeError, match="train"):
        classifier_report(ACTIVA(counts), counts, test_cells, labels_key="cell_type")


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
def half():
    return make(0)


@pytest.fixture(scope="module")
def other_half():
    same, changed = make(1), make(1)
    counts = changed.X.toarray()
    of_t = (changed.obs["cell_type"] == "T").to_numpy()
    counts[of_t, changed.var_names.get_loc(SHIFTED)] = 4 * counts[of_t, changed.var_names.get_loc(SHIFTED)] + 1
    counts[:, changed.var_names.get_loc(ABSENT)] = 0
    changed.X = csr_matrix(counts)
    return {"same": same, "changed": changed}


@pytest.fixture(scope="module")
def table(half, other_half):
    return differential_state(half, other_half, labels_key="cell_type")


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


def test_rows_are_of_genes_and_types_with_enough(table, half, other_half):
    assert list(table.columns) == [
        "set", "type", "gene", "cells", "log2_fold_change", "p", "p_adjusted", "differential",
    ]  # fmt: skip
    assert RARE not in set(table["gene"])
    assert not table.duplicated(["set", "type", "gene"]).any()
    for (name, label), n in table.groupby(["set", "type"])["cells"].first().items():
        assert n == min((adata.obs["cell_type"] == label).sum() for adata in (half, other_half[name]))
    assert (table["differential"] == (table["p_adjusted"] < 0.05)).all()


def test_types_with_few_cells_are_left_out(half, other_half, table):
    n = {label: (other_half["same"].obs["cell_type"] == label).sum() for label in ("B", "NK", "T")}
    n_half = {label: (half.obs["cell_type"] == label).sum() for label in n}
    fewer = {label: min(n[label], n_half[label]) for label in n}
    kept = differential_state(half, other_half["same"], labels_key="cell_type", min_cells=fewer["B"])
    assert set(kept["type"]) == {label for label in n if fewer[label] >= fewer["B"]} == {"B", "T"}
    # what a set gives does not depend on which others there are, nor on types left out
    for column in ("log2_fold_change", "p", "p_adjusted"):
        both = table[(table["set"] == "same") & table["type"].isin(["B", "T"])]
        np.testing.assert_array_equal(kept[column], both[column])
    with pytest.raises(ValueError, match="No type has min_cells=5000 cells"):
        differential_state(half, other_half, labels_key="cell_type", min_cells=5000)


@pytest.mark.parametrize("normalized", [False, True])
def test_every_cell_is_in_one_replicate(half, other_half, monkeypatch, normalized):
    seen = []

    def spy(sums, alpha):
        seen.append(sums)
        return np.ones((sums.shape[1], 3))

    monkeypatch.setattr(type_reports, "deseq2", spy)
    monkeypatch.setattr(type_reports, "_MIN_COUNTS", 0)
    one, other = (adata[adata.obs["cell_type"] == "T"].copy() for adata in (half, other_half["same"]))
    n = min(one.n_obs, other.n_obs) // 7 * 7
    one, other = one[:n].copy(), other[:n].copy()
    totals = [adata.X.toarray() for adata in (one, other)]
    if normalized:
        totals = [1e4 * x / x.sum(axis=1, keepdims=True) for x in totals]
        one.X, other.X = (csr_matrix(np.log1p(x)) for x in totals)
    differential_state(one, other, labels_key="cell_type", n_replicates=7, normalized=normalized)
    (sums,) = seen
    assert sums.shape == (14, half.n_vars)
    assert sums.dtype.kind == "i"
    for part, total in zip(np.split(sums, 2), totals, strict=True):
        # at most seven roundings per gene
        np.testing.assert_allclose(part.sum(axis=0), total.sum(axis=0), atol=4 if normalized else 0)
        if normalized:
            np.testing.assert_allclose(part.sum(axis=1), 1e4 * n / 7, rtol=0.01)
        assert len(np.unique(part, axis=0)) == 7


def test_the_seed_decides_and_nothing_is_changed(half, other_half):
    before = half.copy()
    state = np.random.get_state()[1].copy()
    few = {"labels_key": "cell_type", "min_cells": 100}
    first, again, other = (differential_state(half, other_half["same"], seed=seed, **few) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first, again)
    assert not np.array_equal(first["p"], other["p"])
    assert np.array_equal(np.random.get_state()[1], state)
    assert (before.X != half.X).nnz == 0
    pd.testing.assert_frame_equal(before.obs, half.obs)


def test_cells_that_are_all_alike_differ(half):
    of_t = half[half.obs["cell_type"] == "T"].copy()
    copies = AnnData(of_t.X[np.zeros(of_t.n_obs, dtype=int)], obs=of_t.obs, var=of_t.var)
    table = differential_state(of_t, copies, labels_key="cell_type")
    assert table["differential"].mean() > 0.5


def test_one_gene_is_enough(half, other_half):
    table = differential_state(half[:, :1], other_half["same"][:, :1], labels_key="cell_type")
    assert set(table["gene"]) == {"gene_0"}


@pytest.mark.parametrize(
    "kwargs, error, match",
    [
        ({"n_replicates": 1}, ValueError, "n_replicates must be at least 2"),
        ({"n_replicates": 30}, ValueError, "min_cells must be at least 30"),
        ({"alpha": 1.0}, ValueError, "alpha must be above 0 and below 1"),
        ({"labels_key": "kind"}, KeyError, "kind"),
        ({"layer": "raw"}, KeyError, "raw"),
        ({"normalized": True}, ValueError, "normalized=True"),
    ],
)
def test_bad_input_is_refused(half, other_half, kwargs, error, match):
    with pytest.raises(error, match=match):
        differential_state(half, other_half, **({"labels_key": "cell_type"} | kwargs))


def test_empty_cells_are_refused(half):
    empty = half.copy()
    empty.X = csr_matrix(half.shape, dtype=np.float32)
    with pytest.raises(ValueError, match="synthetic has a pseudo-replicate of 'B' without counts"):
        differential_state(half, empty, labels_key="cell_type")
