"""What users of scvi-tools pass to ``train``: checkpoints, plan arguments, and the global seed."""

import inspect

import numpy as np
import pytest
import scvi
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping
from scvi.train import SaveCheckpoint, TrainingPlan
from tests_helpers import QUIET, make_counts

from activa import ACTIVA
from activa.train import Recipe, ReduceOnPlateau


def fresh(**settings) -> ACTIVA:
    adata = make_counts()
    ACTIVA.setup_anndata(adata, labels_key="cell_type")
    return ACTIVA(adata, n_hidden=(16,), n_latent=4, **settings)


def weights(model: ACTIVA) -> np.ndarray:
    return torch.cat([p.detach().ravel() for p in model.module.parameters()]).numpy()


class Watch(Callback):
    """Keeps each step's KL weight and the encoder's learning rate at the end of each epoch."""

    def __init__(self):
        self.kl, self.lr = [], []

    def on_train_batch_start(self, trainer, plan, *_):
        self.kl.append(float(plan.kl_weight))

    def on_train_epoch_end(self, trainer, plan):
        self.lr.append(trainer.optimizers[0].param_groups[0]["lr"])


@pytest.mark.parametrize("how", ["switch", "callback"])
def test_checkpoints_of_the_best_epochs(how, tmp_path, monkeypatch):
    monkeypatch.setattr(scvi.settings, "logging_dir", str(tmp_path))
    model = fresh()
    if how == "switch":
        model.train(2, enable_checkpointing=True, **QUIET)
        saver = next(c for c in model.trainer.callbacks if isinstance(c, SaveCheckpoint))
    else:
        saver = SaveCheckpoint(dirpath=str(tmp_path), monitor="elbo_validation", load_best_on_end=True)
        model.train(2, callbacks=[saver], **QUIET)
    assert len(model.history["elbo_validation"]) == 2
    best = ACTIVA.load(saver.best_model_path, adata=make_counts())
    assert best.get_latent_representation().shape == (240, 4)
    assert model.generate(5, seed=0).n_obs == 5


def test_kl_warmup_in_minibatches_between_two_weights():
    watch, model = Watch(), fresh()
    plan = {"n_steps_kl_warmup": 4, "n_epochs_kl_warmup": None, "min_kl_weight": 0.2, "max_kl_weight": 0.6}
    model.train(3, batch_size=120, plan_kwargs=plan, callbacks=[watch], **QUIET)
    np.testing.assert_allclose(watch.kl, [0.2, 0.3, 0.4, 0.5, 0.6, 0.6], rtol=1e-6)


def test_kl_warmup_in_epochs_is_scvi_tools():
    watch, model = Watch(), fresh()
    model.train(
        3, batch_size=240, plan_kwargs={"n_epochs_kl_warmup": 2, "max_kl_weight": 0.5}, callbacks=[watch], **QUIET
    )
    np.testing.assert_allclose(watch.kl, [0, 0.25, 0.5])


def test_a_larger_weight_of_the_kl_gives_a_smaller_kl():
    ends = []
    for weight in (0.1, 10.0):
        model = fresh()
        model.train(10, plan_kwargs={"n_epochs_kl_warmup": 0, "max_kl_weight": weight}, batch_size=60, **QUIET)
        ends.append(float(model.history["kl_local_train"].iloc[-1, 0]))
    assert ends[1] < 0.8 * ends[0]


def test_learning_rates_fall_on_a_plateau():
    watch, model = Watch(), fresh()
    plan = {
        "reduce_lr_on_plateau": True,
        "lr": 1e-3,
        "lr_patience": 0,
        "lr_factor": 0.5,
        "lr_threshold": 1e9,
        "lr_min": 3e-4,
    }
    model.train(4, plan_kwargs=plan, callbacks=[watch], **QUIET)
    # the second epoch is the first that is no better, and callbacks come before the plan
    np.testing.assert_allclose(watch.lr, [1e-3, 1e-3, 5e-4, 3e-4])
    assert model.train_indices.size == 216  # 90%: the loss is of validation cells


def test_options_of_a_plateau_alone_change_nothing():
    first, second = fresh(), fresh()
    first.train(2, **QUIET)
    second.train(2, plan_kwargs={"lr_patience": 3, "reduce_lr_on_plateau": False}, **QUIET)
    np.testing.assert_array_equal(weights(first), weights(second))


def test_weight_decay_is_that_of_the_optimizer():
    def classifier(**plan) -> np.ndarray:
        model = fresh()
        model.train(1, plan_kwargs=plan, batch_size=240, **QUIET)
        assert type(model.trainer.optimizers[0]).__name__ == plan.get("optimizer", "Adam")
        return model.module.classifier.layers[1].weight.detach().numpy()

    plain, decay = classifier(), 10.0
    first = fresh().module.classifier.layers[1].weight.detach().numpy()
    # the first step of Adam is the sign of the gradient, with the decay in it; AdamW takes a share of the weights besides
    added, apart = (classifier(weight_decay=decay, optimizer=kind) for kind in ("Adam", "AdamW"))
    np.testing.assert_allclose(apart, plain - 1e-3 * decay * first, atol=1e-6)
    large = np.abs(first) > 0.02
    np.testing.assert_allclose((added - first)[large], -1e-3 * np.sign(first)[large], atol=1e-5)


def test_every_argument_of_scvi_tools_plan_is_taken_or_refused_with_a_reason():
    named = set(inspect.signature(TrainingPlan).parameters) - {"module", "loss_kwargs"}
    values = {"optimizer": "AdamW", "reduce_lr_on_plateau": False, "lr_scheduler_metric": "elbo_validation"}
    values |= dict.fromkeys(("n_steps_kl_warmup", "n_epochs_kl_warmup", "lr_patience"), 3)
    taken, refused = set(), {}
    for name in named:
        try:
            Recipe.of({name: values.get(name, 0.5)})
            taken.add(name)
        except TypeError as error:
            refused[name] = str(error)
    assert taken == named - set(refused) and len(taken) == 13, taken
    assert all("because" in reason for reason in refused.values()), refused


def test_callbacks_that_watch_validation_losses_have_them():
    model = fresh()
    stop = EarlyStopping(monitor="elbo_validation", patience=1, min_delta=1e9)
    model.train(30, callbacks=stop, **QUIET)  # one, as Lightning takes it
    assert len(model.history["elbo_validation"]) == len(model.history["elbo_train"]) == 2
    fresh().train(1, callbacks=None, **QUIET)


def test_a_recipe_with_a_plateau_can_be_written():
    recipe = Recipe(lr_schedule=ReduceOnPlateau(patience=3, metric="kl_local_validation"), weight_decay=1e-6)
    assert Recipe.from_dict(recipe.to_dict()) == recipe


@pytest.mark.parametrize("name", ["compile", "optimizer_creator", "eps", "on_step", "update_only_decoder"])
def test_what_the_plan_has_no_use_for_is_refused_with_the_reason(name):
    with pytest.raises(TypeError, match=f"plan_kwargs has no field '{name}', because .*: leave it out"):
        fresh().train(1, plan_kwargs={name: True})


@pytest.mark.parametrize(
    "plan",
    [
        {"reduce_lr_on_plateau": True, "lr_factor": 2.0},
        {"reduce_lr_on_plateau": True, "lr_scheduler_metric": "loss"},
        {"reduce_lr_on_plateau": True, "lr_schedule": "constant"},
        {"min_kl_weight": 2.0},
        {"weight_decay": -1.0},
    ],
    ids=str,
)
def test_wrong_values_are_refused_before_training(plan):
    model = fresh()
    before = weights(model)
    with pytest.raises(ValueError):
        model.train(1, plan_kwargs=plan)
    np.testing.assert_array_equal(before, weights(model))


def test_the_global_seed_of_scvi_tools_seeds_weights_and_training():
    states, before = (np.random.get_state(), torch.get_rng_state()), scvi.settings._seed
    found = {}
    try:
        for seed in (1, 1, 2):
            scvi.settings.seed = seed
            model = fresh()
            model.train(1, **QUIET)
            found.setdefault(seed, []).append(weights(model))
        explicit = fresh(seed=1)
        explicit.train(1, seed=1, **QUIET)
    finally:
        scvi.settings._seed = before
        np.random.set_state(states[0])
        torch.set_rng_state(states[1])
    np.testing.assert_array_equal(*found[1])
    np.testing.assert_array_equal(found[1][0], weights(explicit))
    assert (found[1][0] != found[2][0]).any()


def test_without_a_global_seed_training_is_that_of_seed_0():
    assert scvi.settings.seed is None
    default, zero = fresh(), fresh(seed=0)
    default.train(1, **QUIET)
    zero.train(1, seed=0, **QUIET)
    np.testing.assert_array_equal(weights(default), weights(zero))
