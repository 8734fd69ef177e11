import random

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from tests_helpers import QUIET, make_counts

from activa import ACTIVA
from activa.data import read_cells
from activa.metrics import METRICS, mmd
from activa.metrics.space import Space
from activa.train import RealismCallback


def untrained(setup=None, **kwargs) -> ACTIVA:
    adata = make_counts()
    ACTIVA.setup_anndata(adata, **({"labels_key": "cell_type"} if setup is None else setup))
    return ACTIVA(adata, n_hidden=(32,), n_latent=5, **kwargs)


def train(model: ACTIVA, **kwargs) -> None:
    model.train(**{"max_epochs": 6, "batch_size": 64, "train_size": 0.8} | kwargs, **QUIET)


def realism(model: ACTIVA) -> np.ndarray:
    return model.history["realism_validation"].iloc[:, 0].to_numpy(dtype=float)


def test_it_falls_in_training():
    model = untrained()
    with torch.no_grad():  # the generator starts far from the cells
        model.module.generator.mean.bias.add_(torch.randn(40, generator=torch.Generator().manual_seed(0)))
    train(model, realism="mmd", max_epochs=20, check_val_every_n_epoch=1, plan_kwargs={"lr": 1e-2})
    found = realism(model)
    assert len(found) == 20 and np.isfinite(found).all()
    assert found[-1] < 0.5 * found[0]


@pytest.mark.parametrize("metric", ["rf_auc", "wasserstein"])
def test_every_metric_is_logged(metric):
    model = untrained()
    callback = RealismCallback(model, metric=metric, n_draws=1)
    train(model, callbacks=[callback], max_epochs=1, check_val_every_n_epoch=1)
    assert realism(model).shape == (1,) and np.isfinite(realism(model)).all()


class RandomStates(Callback):
    """A draw from every global generator when each epoch begins."""

    def __init__(self):
        self.states = []

    def on_train_epoch_start(self, trainer, pl_module):
        self.states.append((random.random(), float(np.random.rand()), float(torch.rand(()))))


@pytest.mark.parametrize("architecture", ["log-linear", "deep"])
def test_the_model_and_the_random_state_are_as_without_it(architecture):
    models, states = [], []
    for metric in (None, "mmd"):
        model, callback = untrained(architecture=architecture), RandomStates()
        train(model, realism=metric, check_val_every_n_epoch=2, callbacks=[callback])
        models.append(model)
        states.append(callback.states)
    assert states[0] == states[1]
    plain, measured = (model.module.state_dict() for model in models)
    assert plain.keys() == measured.keys()
    assert all(torch.equal(value, measured[name]) for name, value in plain.items())
    elbo = [model.history["elbo_validation"].to_numpy() for model in models]
    np.testing.assert_array_equal(*elbo)
    assert "realism_validation" not in models[0].history


class Modes(Callback):
    """What the model is when validation ends."""

    def __init__(self, model: ACTIVA):
        self.model, self.seen = model, []

    def on_validation_end(self, trainer, pl_module):
        prior = id(self.model.module.prior)
        self.seen.append((self.model.is_trained_, prior, [part.training for part in self.model.module.modules()]))


def test_the_model_is_not_touched():
    model = untrained()
    prior, modes = id(model.module.prior), Modes(model)
    measure = RealismCallback(model)
    train(model, callbacks=[measure, modes], max_epochs=2, check_val_every_n_epoch=1)
    assert len(modes.seen) == 2
    assert all(not is_trained and seen == prior and not any(parts) for is_trained, seen, parts in modes.seen)
    before = {name: value.clone() for name, value in model.module.state_dict().items()}
    state = torch.get_rng_state()
    assert measure.measure() == measure.measure()
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in model.module.state_dict().items())


def test_it_is_the_metric_of_the_cells_that_training_leads_to():
    """The prior is fitted to nine tenths of the cells, and to all of them when training ends."""
    model = untrained()
    measure = RealismCallback(model, n_draws=20)
    train(model, callbacks=[measure], train_size=0.9, max_epochs=20, check_val_every_n_epoch=20)
    real = model.adata[np.sort(model.validation_indices)].copy()
    seen = model.adata[np.sort(model.train_indices)].copy()
    sets = read_cells({"real": real, "seen": seen}, labels_key="cell_type", layer=None, normalized=False)
    space, values = Space(sets["seen"], 0), []
    for seed in range(20):
        made = model.generate(labels=list(real.obs["cell_type"]), seed=seed)
        cells = read_cells({"made": made}, labels_key="cell_type", layer=None, normalized=False)["made"]
        values.append(mmd(*space.project_together(sets["real"], cells)))
    assert realism(model)[-1] == pytest.approx(float(np.mean(values)), abs=0.01)


def test_cells_without_a_type_are_left_out():
    adata = make_counts()
    adata.obs["cell_type"] = adata.obs["cell_type"].astype(str)
    adata.obs.iloc[::2, adata.obs.columns.get_loc("cell_type")] = "unknown"
    ACTIVA.setup_anndata(adata, labels_key="cell_type", unlabeled_category="unknown")
    model = ACTIVA(adata, n_hidden=(32,), n_latent=5)
    train(model, realism="mmd", check_val_every_n_epoch=6)
    assert np.isfinite(realism(model)).all()
    # two labeled validation cells among five are too few
    with pytest.raises(ValueError, match="at least 10 labeled validation cells, got [0-9]"):
        train(model, realism="mmd", validation_size=5 / 240)


@pytest.mark.parametrize("setup", [{}, {"labels_key": "cell_type", "batch_key": "batch"}])
@pytest.mark.parametrize("gene_likelihood", ["normal", "nb"])
def test_other_data(setup, gene_likelihood):
    model = untrained(setup, gene_likelihood=gene_likelihood)
    train(model, realism="mmd", max_epochs=2)
    assert np.isfinite(realism(model)).all()


def test_early_stopping_goes_by_it():
    model = untrained()
    stop = {"early_stopping_monitor": "realism_validation", "early_stopping_min_delta": 1e6}
    train(model, realism="mmd", max_epochs=50, early_stopping=True, early_stopping_patience=2, **stop)
    assert len(realism(model)) == 3


class Report(Callback):
    """What Ray Tune's callback reports, at the hook where scvi-tools calls it."""

    def __init__(self):
        self.reported = []

    def on_validation_end(self, trainer, pl_module):
        self.reported.append(trainer.callback_metrics["realism_validation"].item())


def test_it_can_be_reported_when_validation_ends():
    model, report = untrained(), Report()
    train(model, realism="mmd", max_epochs=2, check_val_every_n_epoch=1, callbacks=[report])
    assert report.reported == pytest.approx(list(realism(model)), rel=1e-6) and len(report.reported) == 2


def test_a_second_run_measures_too():
    model = untrained()
    train(model, realism="mmd", max_epochs=2)
    train(model, realism="mmd", max_epochs=2)
    assert model.is_trained and not model.module.training and model.generate(5, seed=0).n_obs == 5


def test_metrics_are_known_ones():
    model = untrained()
    for metric in ("mmd", "rf_auc", "wasserstein"):
        assert metric in METRICS
    with pytest.raises(ValueError, match="metric"):
        RealismCallback(model, metric="accuracy")
    with pytest.raises(ValueError, match="n_draws"):
        RealismCallback(model, n_draws=0)


def test_validation_cells_are_held_out():
    model = untrained()
    model.train(max_epochs=1, realism="mmd", **QUIET)
    assert len(model.validation_indices) == 24
