import functools
import io

import numpy as np
import pandas as pd
import pytest
from tests_helpers import make_counts

from activa import ACTIVA, experiments, pl
from activa.train import Hinge, IntrospectivePlan

SHORT = {"labels_key": "cell_type", "max_epochs": 3, "n_epochs_warmup": 1}


@pytest.mark.parametrize("configuration", ["paper", "default"])
def test_each_margin_is_trained_with_from_large_to_small(configuration, monkeypatch):
    adata, trained = make_counts(120), []
    before, state = adata.copy(), np.random.get_state()[1].copy()
    keep = IntrospectivePlan.__init__

    @functools.wraps(keep)
    def noted(self, module, **kwargs):
        game = kwargs["recipe"].game
        trained.append((type(game), game.margin, game.n_epochs_warmup))
        keep(self, module, **kwargs)

    monkeypatch.setattr(IntrospectivePlan, "__init__", noted)
    seen = []
    monkeypatch.setattr(ACTIVA, "predict", _spied(ACTIVA.predict, seen))
    table = experiments.margin_search(adata, margins=[0, 50], configuration=configuration, **SHORT)
    assert trained == [(Hinge, 50.0, 1), (Hinge, 0.0, 1)]
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
def test_bad_arguments_are_refused(wrong, match):
    with pytest.raises(ValueError, match=match):
        experiments.margin_search(make_counts(60), **SHORT | wrong)


def test_counts_are_asked_for():
    adata = make_counts(60)
    adata.X = adata.X / 2
    with pytest.raises(ValueError, match="no counts"):
        experiments.margin_search(adata, **SHORT)
