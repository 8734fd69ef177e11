"""Training by the plan: the game, its terms and its gradients, as the run's history and weights show them."""

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from tests_helpers import QUIET, make_counts, make_model

from activa import ACTIVA
from activa.train import Game, Hinge, IntrospectivePlan, Soft, softadapt_weights


def weights(part: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {k: v.detach().clone() for k, v in part.state_dict().items()}


def moved(part: torch.nn.Module, before: dict[str, torch.Tensor]) -> bool:
    return any(not torch.equal(v, before[k]) for k, v in part.state_dict().items())


def untrained(**kwargs) -> ACTIVA:
    adata = make_counts()
    ACTIVA.setup_anndata(adata, labels_key="cell_type")
    return ACTIVA(adata, n_hidden=(32,), n_latent=5, **kwargs)


def last(model: ACTIVA, name: str) -> float:
    return float(model.history[name].iloc[-1, 0])


@pytest.mark.parametrize("game", [Hinge(margin=40.0, n_epochs_warmup=0), Soft(0.2, n_epochs_warmup=0)])
@pytest.mark.parametrize("architecture", ["log-linear", "deep"])
def test_the_encoders_loss_is_the_sum_of_its_weighted_terms(game, architecture):
    """In an epoch of one minibatch."""
    model = untrained(architecture=architecture)
    model.train(max_epochs=1, batch_size=240, game=game, plan_kwargs={"n_epochs_kl_warmup": 0}, **QUIET)
    alpha_1, alpha_2 = game.alphas_for([])
    regularizing = last(model, "kl_local_train") + last(model, "introspective_encoder")
    reconstructing = last(model, "reconstruction_loss_train") + last(model, "weight_penalty_train")
    if isinstance(game, Hinge):
        reconstructing += last(model, "classifier_consistency")
        assert last(model, "margin") == 40.0
    assert last(model, "train_loss_epoch" if "train_loss_epoch" in model.history else "train_loss") == pytest.approx(
        alpha_1 * regularizing + alpha_2 * reconstructing, rel=1e-4
    )


@pytest.mark.parametrize("alpha_1", [0.0, 1.0])
def test_the_critics_score_moves_the_generator(alpha_1):
    """Without reconstruction nothing else can."""
    model = untrained()
    before = weights(model.module.generator)
    model.train(max_epochs=2, game=Hinge(margin=5.0, alphas=(alpha_1, 0.0), n_epochs_warmup=0), **QUIET)
    assert moved(model.module.generator, before) == (alpha_1 > 0)


def test_the_generator_learns_to_please_the_critic():
    """Against a critic that stands still, a generator that was led astray makes cells nearer to the prior."""
    model = make_model(epochs=60, plan_kwargs={"lr": 1e-2}, architecture="deep", dropout_rate=0.0)
    torch.manual_seed(0)
    with torch.no_grad():
        model.module.generator.mean.bias.add_(torch.randn(40))
    for p in model.module.encoder.parameters():
        p.requires_grad = False
    game = Hinge(margin=0.0, alphas=(1.0, 0.0), n_epochs_warmup=0)
    model.train(max_epochs=15, game=game, plan_kwargs={"lr": 1e-2}, **QUIET)
    scores = model.trainer.logger.history["kl_generated"].iloc[:, 0].astype(float)
    assert scores.iloc[-3:].mean() < 0.9 * scores.iloc[:3].mean()


@pytest.mark.parametrize("game", [Hinge(5.0, n_epochs_warmup=0), Soft(n_epochs_warmup=0)])
def test_a_frozen_encoder_is_left_alone(game):
    model = untrained()
    for p in model.module.encoder.parameters():
        p.requires_grad = False
    before = weights(model.module.encoder)
    model.train(max_epochs=2, game=game, **QUIET)
    assert not moved(model.module.encoder, before)


def test_the_margin_is_the_warm_ups_l_reg():
    model = make_model(epochs=6, game=Hinge(n_epochs_warmup=4))
    assert last(model, "margin") == pytest.approx(float(model.history["kl_local_train"].iloc[3, 0]), rel=0.02)


def test_a_margin_needs_a_warm_up():
    with pytest.raises(ValueError, match="n_epochs_warmup"):
        untrained().train(max_epochs=2, game=Hinge(n_epochs_warmup=0), **QUIET)


def test_the_game_begins_after_half_of_the_epochs():
    model = make_model(epochs=5, game=Soft())
    assert model.history["kl_generated"].iloc[:, 0].dropna().index.tolist() == [2, 3, 4]


def test_a_warm_up_of_all_epochs_is_no_game():
    model = make_model(epochs=3, game=Soft(n_epochs_warmup=3))
    plain = make_model(epochs=3)
    assert "kl_generated" not in model.history and not moved(model.module, weights(plain.module))


@pytest.mark.parametrize("n_epochs_warmup", [0, 2])
def test_the_classifier_learns_beside(n_epochs_warmup):
    model = untrained()
    before = weights(model.module.classifier)
    model.train(max_epochs=2, game=Soft(n_epochs_warmup=n_epochs_warmup), **QUIET)
    assert moved(model.module.classifier, before)


def test_the_alphas_follow_the_losses():
    model = make_model(epochs=4, game=Hinge(balance="normalized"))
    # the fourth epoch's weights come from the first three
    names = ["kl_local_train", "reconstruction_loss_train"]
    recent = torch.tensor([[float(model.history[name].iloc[i, 0]) for name in names] for i in range(3)])
    w_1, w_2 = softadapt_weights(recent, variant="normalized").tolist()
    assert model.trainer.lightning_module.alphas == pytest.approx((2 * w_1, w_2), rel=1e-3)
    assert w_1 != 0.5


class Nothing(Game):
    """A user's own game, which adds nothing to the losses."""

    def encoder_loss(self, reading):
        return 0 * reading.reg[0].mean()

    def generator_loss(self, reading):
        return 0 * reading.reg[0].mean()


def test_a_user_can_write_a_game():
    model = make_model(epochs=2, game=Nothing())
    assert last(model, "introspective_encoder") == 0 and last(model, "kl_generated") > 0


class Rates(Callback):
    def __init__(self):
        self.rates = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.rates.append([[group["lr"] for group in o.param_groups] for o in trainer.optimizers])


def test_learning_rates_follow_the_recipe():
    model, rates = untrained(), Rates()
    plan_kwargs = {"lr": 1e-3, "lr_classifier": 5e-4, "lr_schedule": "constant"}
    model.train(max_epochs=2, plan_kwargs=plan_kwargs, callbacks=[rates], **QUIET)
    assert all(rate == [[1e-3], [1e-3, 1e-2], [5e-4]] for rate in rates.rates)
    rates = Rates()
    model.train(max_epochs=4, batch_size=24, plan_kwargs={"lr": 1e-3}, callbacks=[rates], **QUIET)
    encoder = [rate[0][0] for rate in rates.rates]
    assert max(encoder) == pytest.approx(1e-3, rel=0.02) and encoder[0] < 1e-4 and encoder[-1] < 1e-4


def test_a_plan_needs_a_recipe():
    with pytest.raises(TypeError, match="recipe"):
        IntrospectivePlan(untrained().module, max_epochs=3, recipe={"lr": 1.0})
