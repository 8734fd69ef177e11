import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score
from tests_helpers import make_counts

from activa import ACTIVA
from activa.experiments import classifier_report


@pytest.fixture(scope="module")
def test_cells():
    return make_counts(seed=7)


@pytest.fixture(scope="module")
def table(model, test_cells):
    return classifier_report(model, model.adata, test_cells, labels_key="cell_type")


def test_rows_are_types_and_summaries_of_both_sets(table, model, test_cells):
    assert list(table.columns) == ["set", "type", "precision", "recall", "f1", "cells"]
    names = ["B", "NK", "T", "accuracy", "macro average", "weighted average"]
    assert list(table["set"]) == ["train"] * 6 + ["test"] * 6
    assert list(table["type"]) == names * 2
    for name, adata in {"train": model.adata, "test": test_cells}.items():
        cells = table[table["set"] == name].set_index("type")["cells"]
        for label, n in adata.obs["cell_type"].value_counts().items():
            assert cells[label] == n
        assert (cells[names[3:]] == adata.n_obs).all()


def test_scores_are_scikit_learns(table, model, test_cells):
    for name, adata in {"train": model.adata, "test": test_cells}.items():
        scores = table[table["set"] == name].set_index("type")
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
    test = table[table["set"] == "test"].set_index("type")["f1"]
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


def test_nothing_is_changed(model, test_cells):
    before, state = test_cells.copy(), np.random.get_state()[1].copy()
    classifier_report(model, test_cells, test_cells, labels_key="cell_type")
    pd.testing.assert_frame_equal(before.obs, test_cells.obs)
    assert (before.X != test_cells.X).nnz == 0 and not test_cells.uns
    assert np.array_equal(np.random.get_state()[1], state)


def test_bad_input_is_refused(model, test_cells):
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
