"""Experiments that train models in either configuration."""

import io

import numpy as np
import pandas as pd
import pytest
from tests_helpers import make_counts

from activa import ACTIVA, experiments, pl
from activa.experiments import scaling, trainings
from activa.experiments.trainings import random_cells
from activa.train import Hinge

SHORT = {"labels_key": "cell_type", "max_epochs": 3, "n_epochs_warmup": 1}
SMALL = {"n_genes": 60, "density": 0.3, "max_epochs": 1, "n_generated": 20}


@pytest.mark.parametrize("configuration", ["paper", "default"])
def test_each_margin_is_trained_with_from_large_to_small(configuration, monkeypatch):
    adata, trained = make_counts(120), []
    before, state = adata.copy(), np.random.get_state()[1].copy()
    train = ACTIVA.train

    def noted(self, *args, **kwargs):
        trained.append(kwargs["game"])
        train(self, *args, **kwargs)

    monkeypatch.setattr(ACTIVA, "train", noted)
    seen = []
    monkeypatch.setattr(ACTIVA, "predict", _spied(ACTIVA.predict, seen))
    table = experiments.margin_search(adata, margins=[0, 50], configuration=configuration, **SHORT)
    assert trained == [Hinge(margin=50.0, n_epochs_warmup=1), Hinge(margin=0.0, n_epochs_warmup=1)]
    assert list(table["margin"]) == [50.0, 0.0] and table["best"].sum() == 1
    assert table.loc[table["best"], "rf_auc"].item() == table["rf_auc"].min()
    # the classifier gives the types of cells that are drawn without, and of those alone
    assert len(seen) == (2 if configuration == "paper" else 0)
    assert (adata.X != before.X).nnz == 0 and list(adata.obs) == list(before.obs) and not adata.uns
    assert np.array_equal(np.random.get_state()[1], state)
    again = experiments.margin_search(adata, margins=[50], configuration=configuration, **SHORT)
    scores = ["margin", "rf_auc", "wasserstein"]
    pd.testing.assert_frame_equal(table.loc[:0, scores], again[scores])
    figure = pl.margin_search(table, return_fig=True)
    figure.savefig(io.BytesIO())
    assert np.array_equal(figure.axes[0].lines[0].get_xydata(), table[["margin", "rf_auc"]])


def _spied(method, calls):
    def spy(self, *args, **kwargs):
        calls.append(args)
        return method(self, *args, **kwargs)

    return spy


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"margins": []}, "margins"),
        ({"margins": [-1]}, "margins"),
        ({"margins": [float("nan")]}, "margins"),
        ({"held_out": 1.0}, "held_out=1.0"),
        ({"held_out": 0.01}, "at least 5"),
        ({"configuration": "scgan"}, "configuration"),
    ],
)
def test_bad_arguments_of_the_search_are_refused(wrong, match):
    with pytest.raises(ValueError, match=match):
        experiments.margin_search(make_counts(60), **SHORT | wrong)


def test_counts_are_asked_for():
    adata = make_counts(60)
    adata.X = adata.X / 2
    with pytest.raises(ValueError, match="no counts"):
        experiments.margin_search(adata, **SHORT)


@pytest.mark.parametrize("configuration", ["default", "paper"])
def test_scaling_has_a_row_for_every_matrix(configuration):
    state = np.random.get_state()[1].copy()
    table = scaling((90, 60), configuration=configuration, accelerator="cpu", **SMALL)
    assert list(table["n_cells"]) == [60, 90]
    expected = {"configuration": configuration, "epochs": 1, "n_generated": 20, "n_genes": 60, "device": "cpu"}
    assert (table[list(expected)] == pd.Series(expected)).all(axis=None)
    assert (table[["seconds_train", "seconds_per_epoch", "seconds_generate"]] > 0).all(axis=None)
    assert (table["seconds_per_epoch"] <= table["seconds_train"]).all()
    assert np.array_equal(np.random.get_state()[1], state)


@pytest.mark.parametrize("configuration", ["default", "paper"])
def test_random_cells_have_counts_in_the_same_number_of_genes(configuration):
    made, again, other = (random_cells(110, 50, 0.3, configuration, seed) for seed in (1, 1, 2))
    assert made.shape == (110, 50) and (made.X.getnnz(axis=1) == 15).all() and made.X.has_sorted_indices
    if configuration == "default":
        assert set(np.unique(made.X.data)) == set(range(1, 11))
    else:
        np.testing.assert_allclose(made.X.sum(axis=1), 20_000, rtol=1e-5)
    assert made.obs["type"].nunique() == 10 and len(np.unique(made.X.toarray(), axis=0)) == 110
    assert (made.X != again.X).nnz == 0 and (made.X != other.X).nnz > 0


def test_epochs_are_the_configurations_own(monkeypatch):
    asked = []

    class Spy(trainings.ACTIVA):
        def train(self, max_epochs=None, **kwargs):
            asked.append((max_epochs, self.training_defaults_.get("max_epochs"), kwargs["game"]))
            super().train(1, accelerator="cpu")

    monkeypatch.setattr(trainings, "ACTIVA", Spy)
    for max_epochs in (None, 122):
        scaling((90,), configuration="paper", **SMALL | {"max_epochs": max_epochs})
    # the warm-up keeps its share, 10 of 610
    assert asked == [(None, 610, None), (122, 610, Hinge(margin=110, n_epochs_warmup=2))]


@pytest.mark.parametrize(
    "kwargs, error, match",
    [
        ({"n_cells": ()}, ValueError, "n_cells must name"),
        ({"n_cells": (0, 5)}, ValueError, "n_cells must be at least 1"),
        ({"n_genes": 0}, ValueError, "n_genes"),
        ({"n_generated": 0}, ValueError, "n_generated"),
        ({"max_epochs": 0}, ValueError, "max_epochs"),
        ({"density": 0.0}, ValueError, "density"),
        ({"density": 0.001}, ValueError, "density"),
        ({"density": 1.1}, ValueError, "density"),
        ({"configuration": "fast"}, ValueError, "configuration"),
    ],
)
def test_bad_arguments_of_scaling_are_refused_before_any_work(monkeypatch, kwargs, error, match):
    monkeypatch.setattr(trainings, "random_cells", None)
    with pytest.raises(error, match=match):
        scaling(**({"n_cells": (50,)} | SMALL | kwargs))
