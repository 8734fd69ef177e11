"""Values that are not finite, and losses that explode: training stops with an error that says so, at sound weights."""

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from tests_helpers import QUIET, make_counts

from activa import ACTIVA
from activa.train import ExplodedLossError, NonFiniteLossError

TRAINING = {"max_epochs": 6, "batch_size": 120, **QUIET}


def untrained(**kwargs) -> ACTIVA:
    adata = make_counts(480, 60)
    adata.obs["age"] = adata.obs["age"] / 80
    ACTIVA.setup_anndata(adata, labels_key="cell_type", continuous_covariate_keys=["age"])
    return ACTIVA(adata, n_hidden=(32,), n_latent=5, **kwargs)


class At(Callback):
    """Do something to the model when an epoch begins, or when it ends, and keep the weights that each epoch began with."""

    def __init__(self, model: ACTIVA, epoch: int, do, *, last_step: bool = False):
        self.model, self.epoch, self.do, self.last_step = model, epoch, do, last_step
        self.weights: list[dict[str, torch.Tensor]] = []

    def on_train_epoch_start(self, trainer, pl_module):
        self.weights.append({name: value.clone() for name, value in self.model.module.state_dict().items()})
        if trainer.current_epoch == self.epoch and not self.last_step:
            self.do(self.model)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.current_epoch == self.epoch and self.last_step and trainer.is_last_batch:
            self.do(self.model)


def assert_sound(model: ACTIVA, weights: dict[str, torch.Tensor]) -> None:
    """The weights, a model that is trained and in evaluation mode, and cells as large as real ones."""
    for name, value in model.module.state_dict().items():
        assert torch.equal(value, weights[name]), name
    assert model.is_trained and not model.module.training
    cells = model.generate(300, seed=0).X
    assert np.isfinite(cells.data).all() and 0.5 < cells.sum() / 300 / (model.adata.X.sum() / 480) < 2


def poison_counts(model: ACTIVA) -> None:
    model.adata.X.data[7] = np.nan


def poison_covariate(model: ACTIVA) -> None:
    model.adata.obsm["_scvi_extra_continuous_covs"].iloc[3] = np.inf


def poison_weights(model: ACTIVA) -> None:
    with torch.no_grad():
        next(model.module.generator.parameters()).view(-1)[0] = torch.nan


@pytest.mark.parametrize("poison, named", [(poison_counts, "X"), (poison_covariate, "extra_continuous_covs")])
def test_cells_that_are_changed_while_they_are_trained_on(poison, named):
    model = untrained()
    at = At(model, 2, poison)
    with pytest.raises(NonFiniteLossError, match=rf"epoch 3.*those after epoch 2.*not finite in \['{named}'\]"):
        model.train(**TRAINING, callbacks=[at])
    model.adata.X.data[7] = 1.0
    assert_sound(model, at.weights[2])
    assert len(model.history["elbo_train"]) == 2


def test_cells_that_are_changed_before_training():
    model = untrained()
    before = {name: value.clone() for name, value in model.module.state_dict().items()}
    poison_counts(model)
    with pytest.raises(NonFiniteLossError, match="epoch 1.*what they were before training.*'X'"):
        model.train(**TRAINING)
    assert not model.is_trained
    model.adata.X.data[7] = 1.0
    assert all(torch.equal(value, before[name]) for name, value in model.module.state_dict().items())
    model.train(**TRAINING)
    assert model.generate(5).n_obs == 5


def test_cells_of_the_prior_s_fit_alone():
    """Validation cells, which no step trains on."""
    model = untrained()

    class PoisonValidation(Callback):
        def on_train_end(self, trainer, pl_module):
            cell = int(trainer.datamodule.val_idx[0])
            model.adata.X.data[model.adata.X.indptr[cell]] = np.nan

    with pytest.raises(ValueError, match=r"0\.\d% of the cells have latents that are not finite"):
        model.train(**TRAINING, train_size=0.9, callbacks=[PoisonValidation()])
    assert model.is_trained and all(torch.isfinite(p).all() for p in model.module.parameters())
    assert np.isfinite(model.generate(50, seed=0).X.data).all()


@pytest.mark.parametrize("gradient_clip", [100.0, None])
def test_weights_that_go_wrong_in_the_last_step_of_an_epoch_are_in_no_checkpoint(gradient_clip, tmp_path):
    model = untrained()
    at = At(model, 2, poison_weights, last_step=True)
    with pytest.raises(NonFiniteLossError, match="epoch 3"):
        model.train(**TRAINING, plan_kwargs={"gradient_clip": gradient_clip}, checkpoint_dir=tmp_path, callbacks=[at])
    assert_sound(model, at.weights[2])
    checkpoint = torch.load(tmp_path / "last.ckpt", weights_only=False)
    assert checkpoint["epoch"] == 1
    for name, _ in model.module.named_parameters():
        assert torch.isfinite(checkpoint["state_dict"][f"module.{name}"]).all(), name


def lead_astray(model: ACTIVA) -> None:
    with torch.no_grad():
        model.module.generator.mean.bias[:30] += 20.0


def test_a_reconstruction_that_explodes():
    """Finite all along: no step fails. The epoch that began astray is not fallen back on, but the one before."""
    model = untrained()
    at = At(model, 2, lead_astray)
    with pytest.raises(
        ExplodedLossError, match=r"L_AE went from .* in epoch 3\. The weights are back to those after epoch 1"
    ):
        model.train(**TRAINING, callbacks=[at])
    assert_sound(model, at.weights[1])


@pytest.mark.parametrize("lr, architecture", [(1e6, "log-linear"), (1e30, "deep")])
def test_a_learning_rate_that_no_model_survives(lr, architecture):
    """From sound weights on: those of the epoch that was the last sound one are kept, finite or not what came after."""
    model = untrained(architecture=architecture)
    model.train(**TRAINING)
    before = {name: value.clone() for name, value in model.module.state_dict().items()}
    at = At(model, 99, None)
    with pytest.raises((ExplodedLossError, NonFiniteLossError), match="smaller lr"):
        model.train(**TRAINING, plan_kwargs={"lr": lr}, callbacks=[at])
    assert any(
        # not the statistics of batch normalization, which a sound minibatch changes before the first step
        all(torch.equal(value, weights[name]) for name, value in model.module.named_parameters())
        for weights in [before, *at.weights]
    )
    # rates, since the deep architecture keeps only cells of the classifier's types, and has hardly been trained
    cells = model.generate(300, seed=0, expected=True).X
    assert np.isfinite(cells).all() and 0.3 < cells.sum() / 300 / (model.adata.X.sum() / 480) < 3
