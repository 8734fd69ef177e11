import random
import signal

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from tests_helpers import QUIET, make_counts, make_model

from activa import ACTIVA, losses
from activa.train import IntrospectivePlan, NonFiniteLossError


def weights(part: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {k: v.detach().clone() for k, v in part.state_dict().items()}


def moved(part: torch.nn.Module, before: dict[str, torch.Tensor]) -> bool:
    return any(not torch.equal(v, before[k]) for k, v in part.state_dict().items())


def untrained(**kwargs) -> ACTIVA:
    adata = make_counts()
    ACTIVA.setup_anndata(adata, labels_key="cell_type")
    return ACTIVA(adata, n_hidden=(32,), n_latent=5, **kwargs)


@pytest.mark.parametrize("introspection", ["soft", "hinge"])
@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_the_adversarial_gradient_reaches_the_generator(introspection, weight):
    """Without reconstruction the critic's score is all that can move the generator: the released code's was cut."""
    model = untrained()
    before = weights(model.module.generator)
    plan_kwargs = {
        "introspection": introspection, "introspection_weight": weight, "alpha_2": 0.0, "n_epochs_warmup": 0, "margin": 5.0,
    }  # fmt: skip
    model.train(max_epochs=2, plan_kwargs=plan_kwargs, **QUIET)
    assert moved(model.module.generator, before) == (weight > 0)


def test_the_generator_learns_to_please_the_critic():
    """Playing against a critic that stands still, a generator that was led astray makes cells nearer to the prior."""
    plain = {"n_prior_components": 1, "dropout_rate": 0.0, "input_dropout_rate": 0.0}
    model = make_model(epochs=60, plan_kwargs={"introspection": "none", "lr": 1e-2}, **plain)
    torch.manual_seed(0)
    with torch.no_grad():
        model.module.generator.mean.bias.add_(torch.randn(40))
    for p in model.module.encoder.parameters():
        p.requires_grad = False
    plan_kwargs = {
        "introspection": "hinge", "introspection_weight": 1.0, "alpha_2": 0.0, "n_epochs_warmup": 0, "margin": 0.0, "lr": 1e-2,
    }  # fmt: skip
    model.train(max_epochs=15, plan_kwargs=plan_kwargs, **QUIET)
    scores = model.trainer.logger.history["kl_generated"].iloc[:, 0].astype(float)
    assert scores.iloc[-3:].mean() < 0.9 * scores.iloc[:3].mean()


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_sleep_moves_the_encoder_alone(weight):
    model = untrained()
    parts = [model.module.encoder, model.module.generator, model.module.prior, model.module.likelihood]
    before = [weights(part) for part in parts]
    plan_kwargs = {
        "introspection": "sleep", "introspection_weight": weight, "alpha_1": 0.0, "alpha_2": 0.0, "n_epochs_warmup": 0,
    }  # fmt: skip
    model.train(max_epochs=2, plan_kwargs=plan_kwargs, fit_prior=False, **QUIET)
    moves = [moved(part, old) for part, old in zip(parts, before, strict=True)]
    assert moves == [weight > 0, False, False, False]


def test_sleep_teaches_the_encoder_to_read_generated_cells():
    """It errs less about the latents that cells were generated from than an encoder that has seen real cells alone."""
    errors = []
    for introspection in ("none", "sleep"):
        model = make_model(epochs=30, plan_kwargs={"introspection": introspection})
        tensors = next(iter(model._make_data_loader(model.adata)))
        design = model.module.design(tensors)
        design = design.take(torch.arange(len(design.y)).repeat(20))
        torch.manual_seed(0)
        with torch.no_grad():
            z = model.module.sample_latent(design)
            x = model.module.draw(model.module.decode(z, model.module.sample_log_library(z, design), design))
            errors.append(float(losses.sleep_encoder(z, *model.module.encode(x, design))))
    assert errors[1] < errors[0]


def test_a_frozen_encoder_is_left_alone():
    model = untrained()
    for p in model.module.encoder.parameters():
        p.requires_grad = False
    before = weights(model.module.encoder)
    model.train(max_epochs=2, plan_kwargs={"introspection": "sleep", "n_epochs_warmup": 0}, **QUIET)
    assert not moved(model.module.encoder, before)


def test_the_margin_is_the_warm_ups_kl():
    model = make_model(epochs=6, plan_kwargs={"introspection": "hinge", "n_epochs_warmup": 4})
    assert float(model.module.margin) == pytest.approx(float(model.history["kl_local_train"].iloc[3, 0]), rel=0.02)


def test_a_given_margin_is_kept():
    model = make_model(epochs=2, plan_kwargs={"introspection": "hinge", "n_epochs_warmup": 1, "margin": 3.5})
    assert float(model.module.margin) == 3.5


def test_margin_from_a_warm_up_that_is_not_there():
    with pytest.raises(ValueError, match="n_epochs_warmup"):
        untrained().train(max_epochs=2, plan_kwargs={"introspection": "hinge", "n_epochs_warmup": 0}, **QUIET)


@pytest.mark.parametrize("n_epochs_warmup", [0, 2])
def test_the_classifier_learns_beside(n_epochs_warmup):
    model = untrained()
    before = weights(model.module.classifier)
    model.train(max_epochs=2, plan_kwargs={"introspection": "soft", "n_epochs_warmup": n_epochs_warmup}, **QUIET)
    assert moved(model.module.classifier, before)


@pytest.mark.parametrize(
    "plan_kwargs",
    [
        {"classifier_weight": 1.0},
        {"lr_schedule": "constant"},
        {"margin_per_cell": True, "introspection": "hinge"},
        {"gradient_clip": None},
        {"synthetic_cells": "whole", "classifier_weight": 1.0},
    ],
)
@pytest.mark.parametrize("generator", ["curved", "linear", "deep"])
def test_every_form_of_the_game_trains(plan_kwargs, generator):
    model = make_model(epochs=4, plan_kwargs={"introspection": "soft", **plan_kwargs}, generator=generator)
    assert all(torch.isfinite(p).all() for p in model.module.parameters())
    assert {"introspective_encoder", "introspective_generator", "kl_generated", "kl_reconstructed"} <= set(
        model.history
    )


def test_training_fits_and_is_recorded():
    model = make_model(epochs=20, train_size=0.9)
    elbo = model.history["elbo_train"].iloc[:, 0].astype(float)
    assert len(elbo) == 20 and elbo.iloc[-1] < elbo.iloc[0] - 1
    assert "elbo_validation" in model.history
    assert (model.predict() == model.adata.obs["cell_type"]).mean() > 0.8


@pytest.mark.parametrize("sizes", [{}, {"train_size": 1.0}])
def test_all_cells_are_trained_on(sizes):
    adata = make_counts()
    ACTIVA.setup_anndata(adata, labels_key="cell_type")
    model = ACTIVA(adata, n_hidden=(32,), n_latent=5)
    model.train(max_epochs=2, **sizes, **QUIET)
    assert len(model.train_indices) == adata.n_obs and "elbo_validation" not in model.history
    for validation in ({"early_stopping": True}, {"check_val_every_n_epoch": 1}):
        with pytest.raises(ValueError, match="need cells to validate on"):
            model.train(max_epochs=2, train_size=1.0, **validation, **QUIET)


def test_early_stopping_stops():
    adata = make_counts()
    ACTIVA.setup_anndata(adata, labels_key="cell_type")
    model = ACTIVA(adata, n_hidden=(32,), n_latent=5)
    model.train(max_epochs=50, early_stopping=True, early_stopping_patience=2, early_stopping_min_delta=1e6, **QUIET)
    assert len(model.history["elbo_train"]) < 10


def test_a_seed_gives_the_same_weights_and_leaves_global_state():
    states = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    first, second, other = (make_model(epochs=4, seed=seed) for seed in (1, 1, 2))
    assert random.getstate() == states[0]
    assert (np.random.get_state()[1] == states[1]).all()
    assert torch.equal(torch.get_rng_state(), states[2])
    assert not moved(first.module, weights(second.module))
    assert moved(first.module, weights(other.module))
    assert list(first.train_indices) == list(second.train_indices)


class StopAt(Callback):
    def __init__(self, epoch: int):
        self.epoch = epoch

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == self.epoch:
            raise KeyboardInterrupt


def test_an_interrupt_leaves_a_usable_model_and_can_be_resumed(tmp_path):
    model = untrained()
    handler = signal.getsignal(signal.SIGINT)
    with pytest.warns(UserWarning, match="interrupted after 3 of 8 epochs"):
        model.train(max_epochs=8, callbacks=[StopAt(3)], checkpoint_dir=tmp_path, **QUIET)
    assert signal.getsignal(signal.SIGINT) is handler
    assert model.is_trained and model.generate(10, seed=0).n_obs == 10
    assert len(model.history["elbo_train"]) == 3

    resumed = untrained()
    resumed.train(max_epochs=8, ckpt_path=tmp_path / "last.ckpt", **QUIET)
    assert len(resumed.history["elbo_train"]) == 5
    assert resumed.trainer.optimizers[0].param_groups[0]["lr"] < 1e-5  # the one cycle has come to its end

    with pytest.raises(ValueError, match="ckpt_path"):
        resumed.train(max_epochs=8, ckpt_path=tmp_path / "absent.ckpt", **QUIET)


def test_a_run_stopped_before_the_game_keeps_its_margin(tmp_path):
    plan_kwargs = {"introspection": "hinge", "n_epochs_warmup": 2}
    model, resumed = untrained(), untrained()
    with pytest.warns(UserWarning, match="interrupted"):
        model.train(max_epochs=4, plan_kwargs=plan_kwargs, callbacks=[StopAt(2)], checkpoint_dir=tmp_path, **QUIET)
    resumed.train(max_epochs=4, plan_kwargs=plan_kwargs, ckpt_path=tmp_path / "last.ckpt", **QUIET)
    assert 0 < float(resumed.module.margin) < 1e3
    resumed.train(max_epochs=2, plan_kwargs={**plan_kwargs, "n_epochs_warmup": 1, "margin": 77.0}, **QUIET)
    assert float(resumed.module.margin) == 77.0


def test_a_failed_call_leaves_the_model_as_it_was():
    model = make_model(epochs=2)
    with pytest.raises(TypeError):
        model.train(plan_kwargs={"typo": 1})
    first, second = model.get_latent_representation(), model.get_latent_representation()
    assert (first == second).all()


class Poison(Callback):
    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.current_epoch == 2 and batch_idx == 1:
            with torch.no_grad():
                pl_module.module.likelihood.px_r.fill_(torch.nan)


def test_a_loss_gone_wrong_stops_and_keeps_the_last_good_weights():
    model = untrained()
    with pytest.raises(NonFiniteLossError, match="epoch 3"):
        model.train(max_epochs=5, callbacks=[Poison()], **QUIET)
    assert all(torch.isfinite(p).all() for p in model.module.parameters())
    assert model.is_trained and model.generate(10, seed=0).n_obs == 10


@pytest.mark.parametrize(
    "plan_kwargs, match",
    [
        ({"introspection": "hard"}, "introspection"),
        ({"synthetic_cells": "all"}, "synthetic_cells"),
        ({"softadapt": "yes"}, "softadapt"),
        ({"lr": -1.0}, "lr"),
        ({"lr_schedule": "none"}, "lr_schedule"),
        ({"margin": "big"}, "margin"),
    ],
)
def test_bad_arguments_of_the_plan(plan_kwargs, match):
    with pytest.raises(ValueError, match=match):
        IntrospectivePlan(untrained().module, max_epochs=3, **plan_kwargs)


def test_bad_arguments_of_train():
    model = untrained()
    with pytest.raises(ValueError, match="max_epochs"):
        model.train(max_epochs=0)
    with pytest.raises(TypeError, match="seed"):
        model.train(seed=1.5)
    with pytest.raises(TypeError, match="no_such"):
        model.train(max_epochs=1, plan_kwargs={"no_such": 1}, **QUIET)
