"""The games' losses against the equations, and what their gradients reach."""

import math

import numpy as np
import pytest
import torch
from scvi.model.base import BaseModelClass
from tests_helpers import make_counts

from activa import ACTIVA, losses, pp
from activa.train import PAPER_RECIPE, Hinge, Soft, SyntheticCells


def made(model: ACTIVA, game, n_cells: int = 65):
    """Synthetic cells of the model's first cells, and the minibatch."""
    module = model.module
    batch = next(iter(BaseModelClass._make_data_loader(model, model.adata, batch_size=n_cells)))
    inference, generative = module(batch, compute_loss=False)
    torch.manual_seed(1)
    return SyntheticCells.make(module, batch, inference, generative, whole=game.whole), batch, inference


def untrained(**kwargs) -> ACTIVA:
    adata = make_counts()
    ACTIVA.setup_anndata(adata, labels_key="cell_type", batch_key="batch")
    return ACTIVA(adata, n_hidden=(32,), n_latent=5, **kwargs)


@pytest.mark.parametrize("margin", [3.0, 1e4])
def test_hinge_is_equations_4_and_5(margin):
    """The paper's terms, from the networks' outputs alone."""
    adata = make_counts(64)
    pp.scale_library(adata, 200.0)
    ACTIVA.setup_anndata(adata, labels_key="cell_type")
    model = ACTIVA.paper(adata)
    module = model.module.eval()  # batch statistics are the same in every pass
    game = Hinge(margin=margin)
    cells, batch, inference = made(model, game, 64)
    torch.manual_seed(1)
    z_g = module.sample_latent(module.condition(batch))

    def gen(z):
        return torch.relu(module.generator.mean(module.generator.hidden(z)))

    def l_reg(x):
        h = module.encoder.hidden(x)
        mu, log_var = module.encoder.mean(h), module.encoder.log_var(h)
        return float(-0.5 * (1 + log_var - mu**2 - log_var.exp()).sum(1).mean())

    with torch.no_grad():
        x, x_r, x_g = batch["X"], gen(inference["z"]), gen(z_g)
        torch.testing.assert_close(cells.x, torch.cat([x_r, x_g]))
        l_ct = float(((module.classifier(x) - module.classifier(x_r)) ** 2).sum(1).mean())
        synthetic = [l_reg(x_r), l_reg(x_g)]
    expected_e = 0.5 * sum(max(margin - s, 0.0) for s in synthetic)
    assert game.encoder_loss(cells.detached().read()).item() == pytest.approx(expected_e, rel=1e-4)
    assert game.generator_loss(cells.read()).item() == pytest.approx(0.5 * sum(synthetic), rel=1e-4)
    assert game.consistency(cells, x).item() == pytest.approx(l_ct, rel=1e-4)


def test_soft_is_the_weighted_loss_of_half_a_minibatch():
    model = untrained()
    game = Soft(0.1)
    cells, batch, _ = made(model, game)
    assert cells.n_reconstructed == 33 and len(cells.x) == 65
    assert game.consistency(cells, batch["X"]) is None
    reading = cells.detached().read()
    assert [len(reg) for reg in reading.reg] == [33, 32]
    expected = losses.soft_encoder(reading.reconstruction(), reading.reg, scale=1 / model.adata.n_vars)
    assert game.encoder_loss(reading).item() == pytest.approx(0.1 * expected.item(), rel=1e-6)
    assert game.generator_loss(reading).item() == pytest.approx(0.1 * losses.hinge_generator(reading.reg).item())


@pytest.mark.parametrize("game", [Hinge(margin=1e4), Soft(0.3)])
@pytest.mark.parametrize("architecture", ["log-linear", "deep"])
def test_the_adversarial_gradient_reaches_the_generator_and_not_the_prior(game, architecture):
    """The released code's was cut."""
    model = untrained(architecture=architecture)
    module = model.module
    cells, _, _ = made(model, game)

    def reached(loss, parts) -> bool:
        parameters = [p for part in parts for p in part.parameters()]
        if not parameters:  # N(0, I)
            return False
        gradients = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
        return any(g is not None and bool(g.any()) for g in gradients)

    assert reached(game.generator_loss(cells.read()), [module.generator])
    assert not reached(game.generator_loss(cells.read()), [module.prior])
    loss = game.encoder_loss(cells.detached().read())
    assert reached(loss, [module.encoder]) and not cells.detached().x.requires_grad


def test_the_margin_is_the_last_l_reg_of_the_warm_up():
    assert Hinge().begin([[9.0, 100.0], [7.0, 90.0]]) == Hinge(margin=7.0)
    assert Hinge(margin=3).begin([[7.0, 90.0]]) == Hinge(margin=3) and Soft().begin([]) == Soft()
    with pytest.raises(ValueError, match="n_epochs_warmup"):
        Hinge().begin([])


def test_alphas_follow_the_losses():
    """SoftAdapt's equation in NumPy; equal rates leave the alphas as they are."""
    game = Hinge(alphas=(1.0, 0.5), balance="original")
    assert game.alphas_for([]) == game.alphas_for([[1.0, 1.0]]) == (1.0, 0.5)
    assert game.alphas_for([[5.0, 9.0], [4.0, 8.0]]) == pytest.approx((1.0, 0.5))
    w = np.exp(0.1 * np.array([-1.0, -6.0]))
    w /= w.sum()
    assert game.alphas_for([[6.0, 15.0], [5.0, 8.0], [4.0, 3.0]]) == pytest.approx((2 * w[0], w[1]), rel=1e-5)
    assert Hinge().alphas_for([[5.0, 9.0], [1.0, 8.0]]) == (1.0, 0.5) and Soft().alphas_for([]) == (1.0, 1.0)


def test_the_papers_game():
    assert PAPER_RECIPE.game == Hinge(margin=110.0, alphas=(1.0, 0.5), n_epochs_warmup=10)


@pytest.mark.parametrize(
    "game, kwargs, error",
    [
        (Hinge, {"margin": "kl"}, TypeError),
        (Hinge, {"margin": math.inf}, ValueError),
        (Hinge, {"alphas": 1.0}, TypeError),
        (Hinge, {"alphas": (1.0,)}, ValueError),
        (Hinge, {"alphas": (1.0, -1.0)}, ValueError),
        (Hinge, {"per_cell": 1}, TypeError),
        (Hinge, {"balance": "none"}, ValueError),
        (Hinge, {"n_epochs_warmup": -1}, ValueError),
        (Soft, {"weight": -0.1}, ValueError),
        (Soft, {"weight": "large"}, TypeError),
        (Soft, {"n_epochs_warmup": 1.0}, TypeError),
    ],
)
def test_wrong_options(game, kwargs, error):
    with pytest.raises(error, match=next(iter(kwargs))):
        game(**kwargs)
