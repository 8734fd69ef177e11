"""Interrupts, errors and checkpoints: a run that was stopped can be used, and resumes as if it had not been."""

import signal

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from scvi import settings
from scvi.train import SaveCheckpoint
from tests_helpers import QUIET, make_counts

from activa import ACTIVA
from activa.train import ExplodedLossError, Guard, Hinge, NonFiniteLossError, Soft


def untrained() -> ACTIVA:
    adata = make_counts(150, 20)
    ACTIVA.setup_anndata(adata, labels_key="cell_type")
    return ACTIVA(adata, n_hidden=(16,), n_latent=4)


class FailAt(Callback):
    def __init__(self, epoch: int):
        self.epoch = epoch

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == self.epoch:
            raise RuntimeError("the power went")


@pytest.mark.parametrize("game", [None, Soft(n_epochs_warmup=2), Hinge(balance="original", n_epochs_warmup=2)])
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(tmp_path, game):
    """To the same losses, rates and weights, which depend on the random state where it stopped."""
    kwargs = {"max_epochs": 6, "batch_size": 64, "train_size": 0.9, "game": game, **QUIET}
    straight, resumed = untrained(), untrained()
    straight.train(**kwargs)
    with pytest.raises(RuntimeError, match="the power went"):
        untrained().train(**kwargs, checkpoint_dir=tmp_path, callbacks=[FailAt(3)])
    resumed.train(**kwargs, ckpt_path=tmp_path / "last.ckpt")

    assert set(resumed.history) == set(straight.history)
    for name, losses in straight.history.items():
        expected, found = (
            table.iloc[:, 0].to_numpy(dtype=float) for table in (losses.iloc[-3:], resumed.history[name])
        )
        np.testing.assert_array_equal(found, expected, err_msg=name)
    assert resumed.trainer.optimizers[0].param_groups[0]["lr"] == straight.trainer.optimizers[0].param_groups[0]["lr"]
    plans = [model.trainer.lightning_module for model in (resumed, straight)]
    assert plans[0].alphas == plans[1].alphas and plans[0].game == plans[1].game
    assert (plans[0].alphas == (1.0, 1.0)) == (not isinstance(game, Hinge))
    for name, value in straight.module.state_dict().items():
        assert torch.equal(resumed.module.state_dict()[name], value), name


def test_scvis_checkpoints_are_models(tmp_path):
    """The best by the held-out ELBO is kept, with the game's terms beside it, and is a model that generates."""
    model = untrained()
    checkpoint = SaveCheckpoint(dirpath=str(tmp_path), monitor="elbo_validation", load_best_on_end=True)
    model.train(
        max_epochs=4,
        train_size=0.8,
        check_val_every_n_epoch=1,
        enable_checkpointing=True,
        callbacks=[checkpoint],
        **QUIET,
    )
    best = float(model.history["elbo_validation"].iloc[:, 0].astype(float).min())
    assert float(checkpoint.best_model_score) == pytest.approx(best)
    loaded = ACTIVA.load(checkpoint.best_model_path, adata=False, accelerator="cpu")
    # the best epoch's weights, except for the prior and the cells' quality, which are fitted when training ends
    for name, value in model.module.state_dict().items():
        assert torch.equal(loaded.module.state_dict()[name], value) or name.startswith(("prior.", "quality.")), name
    assert loaded.generate(30, seed=0).n_obs == 30


def test_tensorboard_records_the_losses(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    from lightning.pytorch.loggers import TensorBoardLogger

    model = untrained()
    model.train(max_epochs=2, train_size=0.8, logger=TensorBoardLogger(tmp_path), **QUIET)
    events = accumulator.EventAccumulator(model.trainer.logger.log_dir)
    events.Reload()
    assert {"elbo_train", "elbo_validation", "kl_local_train"} <= set(events.Tags()["scalars"])
    assert len(events.Scalars("elbo_train")) == 2
    assert model.generate(5, seed=0).n_obs == 5


# its own imports and its SQLite store warn
@pytest.mark.filterwarnings("ignore::Warning")
def test_mlflow_records_the_losses_as_scvi_tools_does(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)
    uri = f"sqlite:///{tmp_path}/runs.db"
    monkeypatch.setattr(settings, "mlflow_set_tracking_uri", uri)
    monkeypatch.setattr(settings, "mlflow_set_experiment", "activa")
    model = untrained()
    model.train(max_epochs=2, **QUIET)
    run = mlflow.MlflowClient(uri).get_run(model.run_id)
    assert run.data.metrics["elbo_train"] == pytest.approx(float(model.history["elbo_train"].iloc[-1, 0]))
    assert run.data.params["gene_likelihood"] == "nb-outlier" and run.data.params["max_epochs"] == "2"
    assert model.generate(5, seed=0).n_obs == 5


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
    assert resumed.trainer.optimizers[0].param_groups[0]["lr"] < 1e-5  # the one cycle has ended


def test_a_run_that_was_stopped_before_the_game_keeps_its_margin(tmp_path):
    model, resumed = untrained(), untrained()
    kwargs = {"max_epochs": 4, "game": Hinge(n_epochs_warmup=2), **QUIET}
    with pytest.warns(UserWarning, match="interrupted"):
        model.train(**kwargs, callbacks=[StopAt(2)], checkpoint_dir=tmp_path)
    resumed.train(**kwargs, ckpt_path=tmp_path / "last.ckpt")
    margin = float(model.history["kl_local_train"].iloc[1, 0])
    assert float(resumed.history["margin"].iloc[-1, 0]) == pytest.approx(margin, rel=0.02)


class Poison(Callback):
    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.current_epoch == 2 and batch_idx == 1:
            with torch.no_grad():
                pl_module.module.likelihood.px_r.fill_(torch.nan)


def test_a_loss_gone_wrong_stops_and_keeps_the_last_good_weights():
    model = untrained()
    with pytest.raises(NonFiniteLossError, match="epoch 3"):
        model.train(max_epochs=5, batch_size=64, callbacks=[Poison()], **QUIET)
    assert all(torch.isfinite(p).all() for p in model.module.parameters())
    assert model.is_trained and model.generate(10, seed=0).n_obs == 10


@pytest.fixture
def linear():
    return torch.nn.Linear(2, 1)


def change(linear) -> list[torch.Tensor]:
    with torch.no_grad():
        linear.weight.add_(1.0)
    return [p.detach().clone() for p in linear.parameters()]


def assert_equal(linear, weights):
    assert all(torch.equal(p, w) for p, w in zip(linear.parameters(), weights, strict=True))


def test_the_weights_of_the_last_sound_epoch_are_put_back(linear):
    guard = Guard(linear, n_genes=10)
    guard.begin_epoch(0, [])
    guard.check_first_minibatch(100.0)
    sound = change(linear)
    guard.begin_epoch(1, [90.0])
    guard.check_first_minibatch(80.0)
    change(linear)
    guard.begin_epoch(2, [90.0, 70.0])
    guard.check_first_minibatch(151.0)  # above 70 + 70 + 10
    guard.check_finite(torch.tensor(1.0))
    with pytest.raises(NonFiniteLossError, match="nan in epoch 3.*those after epoch 1"):
        guard.check_finite(torch.tensor(float("nan")))
    assert_equal(linear, sound)


@pytest.mark.parametrize("best, bound", [(100.0, 210.0), (-100.0, 10.0)])
def test_an_explosion_is_more_than_the_best_and_a_nat_per_gene(linear, best, bound):
    guard = Guard(linear, n_genes=10)
    guard.begin_epoch(0, [best, best + 5])
    guard.check_epoch(bound)
    with pytest.raises(ExplodedLossError, match="what they were before training"):
        guard.check_epoch(bound + 1)


def test_a_reconstruction_that_is_not_trained_may_rise(linear):
    guard = Guard(linear, n_genes=10, trains_reconstruction=False)
    guard.begin_epoch(0, [1.0])
    guard.check_epoch(1e9)


def test_the_error_names_what_is_poisoned(linear):
    guard = Guard(linear, n_genes=10)
    guard.begin_epoch(0, [])
    guard.minibatch = {"X": torch.tensor([1.0, torch.inf]), "labels": torch.zeros(2)}
    with pytest.raises(NonFiniteLossError, match=r"\['X'\]"):
        guard.check_finite(torch.tensor(torch.inf))


def test_weights_that_are_not_finite_are_not_left(linear):
    guard = Guard(linear, n_genes=10)
    guard.begin_epoch(0, [])
    sound = [p.detach().clone() for p in linear.parameters()]
    with torch.no_grad():
        linear.bias.fill_(torch.nan)
    guard.leave_finite_weights()
    assert_equal(linear, sound)
    moved = change(linear)
    guard.leave_finite_weights()
    assert_equal(linear, moved)
