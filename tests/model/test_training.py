"""The ``train`` method: its arguments, what it records, and the fit of the prior."""

import random

import numpy as np
import pytest
import torch
from tests_helpers import QUIET, make_counts, make_model

from activa import ACTIVA
from activa.model.mixtures import fit_prior
from activa.module import LabeledPrior
from activa.train import Hinge, Soft


def state(model: ACTIVA) -> dict[str, torch.Tensor]:
    return {k: v.detach().clone() for k, v in model.module.state_dict().items()}


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, second[name]) for name, value in first.items())


def untrained(**kwargs) -> ACTIVA:
    adata = make_counts()
    ACTIVA.setup_anndata(adata, labels_key="cell_type")
    return ACTIVA(adata, n_hidden=(32,), n_latent=5, **kwargs)


def test_training_fits_and_is_recorded():
    model = make_model(epochs=20, train_size=0.9)
    elbo = model.history["elbo_train"].iloc[:, 0].astype(float)
    assert len(elbo) == 20 and elbo.iloc[-1] < elbo.iloc[0] - 1
    assert "elbo_validation" in model.history
    assert (model.predict() == model.adata.obs["cell_type"]).mean() > 0.8


@pytest.mark.parametrize("sizes", [{}, {"train_size": 1.0}])
def test_all_cells_are_trained_on(sizes):
    model = untrained()
    model.train(max_epochs=2, **sizes, **QUIET)
    assert len(model.train_indices) == model.adata.n_obs and "elbo_validation" not in model.history
    for validation in ({"early_stopping": True}, {"check_val_every_n_epoch": 1}, {"realism": "mmd"}):
        with pytest.raises(ValueError, match="need cells to validate on"):
            model.train(max_epochs=2, train_size=1.0, **validation, **QUIET)


def test_early_stopping_stops():
    model = untrained()
    model.train(max_epochs=50, early_stopping=True, early_stopping_patience=2, early_stopping_min_delta=1e6, **QUIET)
    assert len(model.history["elbo_train"]) < 10


def test_a_seed_gives_the_same_weights_and_leaves_global_state():
    states = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    first, second, other = (make_model(epochs=4, seed=seed) for seed in (1, 1, 2))
    assert random.getstate() == states[0]
    assert (np.random.get_state()[1] == states[1]).all()
    assert torch.equal(torch.get_rng_state(), states[2])
    assert same(state(first), state(second)) and not same(state(first), state(other))
    assert list(first.train_indices) == list(second.train_indices)


@pytest.mark.parametrize(
    "kwargs, error, match",
    [
        ({"plan_kwargs": {"typo": 1}}, TypeError, "typo"),
        ({"plan_kwargs": {"game": Hinge()}}, TypeError, "game="),
        ({"game": "hinge"}, TypeError, "game"),
        ({"max_epochs": 0}, ValueError, "max_epochs"),
        ({"seed": 1.5}, TypeError, "seed"),
        ({"realism": "accuracy"}, ValueError, "realism must be one of"),
        ({"ckpt_path": "absent.ckpt"}, ValueError, "ckpt_path"),
        ({"fit_prior": False}, TypeError, "fit_prior"),
    ],
)
def test_a_refused_call_leaves_the_model_as_it_was(kwargs, error, match):
    model = make_model(epochs=1)
    before, latent, history = state(model), model.get_latent_representation(), model.history
    with pytest.raises(error, match=match):
        model.train(**kwargs)
    assert same(before, state(model)) and not model.module.training and model.history is history
    np.testing.assert_array_equal(model.get_latent_representation(), latent)


def test_the_prior_is_the_moments_of_its_latents():
    """One Gaussian, of a type with many cells, and none of a type without cells."""
    rng = np.random.default_rng(0)
    prior = LabeledPrior(3, 2, n_components=1)
    y = np.repeat([0, 1], [4_000, 2_000])
    z = rng.normal(size=(6_000, 2)) * [2.0, 0.5] + y[:, None] * 5
    before = prior.loc[2].detach().clone()
    fit_prior(prior, z, y, np.zeros(6_000, dtype=int), rng, draws=1)
    for label in (0, 1):
        own = z[y == label]
        np.testing.assert_allclose(prior.loc[label, 0].detach(), own.mean(axis=0), atol=1e-3)
        np.testing.assert_allclose(prior.log_scale[label, 0].exp().detach(), own.std(axis=0), rtol=1e-2)
    assert torch.equal(prior.loc[2], before)
    weights = {name: value.clone() for name, value in prior.state_dict().items()}
    z[3] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        fit_prior(prior, z, y, np.zeros(6_000, dtype=int), rng, draws=1)
    assert all(torch.equal(value, weights[name]) for name, value in prior.state_dict().items())


def test_known_batches_keep_their_weights():
    rng = np.random.default_rng(0)
    prior = LabeledPrior(1, 2, 4, 3)
    before = {name: value.clone() for name, value in prior.state_dict().items()}
    z, batch = rng.normal(size=(600, 2)), np.repeat([0, 1, 2], 200)
    fit_prior(prior, z, np.zeros(600, dtype=int), batch, rng, draws=1, n_known_batches=2)
    moved = {name: value != before[name] for name, value in prior.state_dict().items()}
    assert not any(moved[name].any() for name in ("loc", "log_scale", "logits"))
    assert not moved["batch_logits"][..., :2].any() and moved["batch_logits"][..., 2].any()


def test_the_game_is_trained_and_the_prior_fitted():
    """The mean of each type's Gaussians is that of its latents, in spite of the game."""
    model = make_model(epochs=6, game=Soft(0.3))
    latent, prior = model.get_latent_representation(), model.module.prior
    for code, label in enumerate(model.types):
        mean = latent[model.adata.obs["cell_type"] == label].mean(axis=0)
        found = prior.logits[code].softmax(-1) @ prior.loc[code]
        np.testing.assert_allclose(found.detach(), mean, atol=0.25)


def test_a_model_fits_itself_again_with_its_own_settings_and_training():
    model = make_model(epochs=3, seed=1)
    weights = state(model)
    again = model.refit(seed=2)
    assert same(weights, state(model))
    assert again.settings == model.settings
    assert again.trained_with_ == model.trained_with_ and len(again.history["elbo_train"]) == 3
    assert again.adata.n_obs == model.adata.n_obs and again.adata is not model.adata
    assert (
        again.adata.obs["cell_type"].value_counts().to_dict() == model.adata.obs["cell_type"].value_counts().to_dict()
    )
    assert not same(weights, state(again)) and same(state(again), state(model.refit(seed=2)))


def test_what_cannot_be_fitted_again_is_refused():
    with pytest.raises(RuntimeError, match="train"):
        untrained().refit()
    adata = make_counts()
    adata.obs["size"] = 1.0
    ACTIVA.setup_anndata(adata, labels_key="cell_type", size_factor_key="size")
    model = ACTIVA(adata, n_hidden=(8,), n_latent=2)
    model.train(max_epochs=1, **QUIET)
    with pytest.raises(ValueError, match="size_factor_key='size'"):
        model.refit()
