import numpy as np
import torch

from activa.metrics import cell_profiles
from activa.module import CellQuality, cell_facts


def counts(n: int = 60, g: int = 40) -> torch.Tensor:
    return torch.poisson(torch.rand(n, g) * 3, generator=torch.Generator().manual_seed(0))


def test_facts_are_those_of_the_judge():
    torch.manual_seed(0)
    x = counts()
    found, expected = cell_facts(x).numpy(), cell_profiles(x.numpy())
    np.testing.assert_allclose(np.exp(found[:, 0]), np.expm1(expected["log_counts"]), rtol=1e-5)
    np.testing.assert_allclose(np.exp(found[:, 1]), np.expm1(expected["genes"]), rtol=1e-5)
    np.testing.assert_allclose(np.exp(found[:, 2]), expected["largest_share"], rtol=1e-5)
    np.testing.assert_allclose(np.exp(found[:, 3]), expected["concentration"], rtol=1e-5)
    np.testing.assert_allclose(found[:, 4], expected["ones_share"], rtol=1e-5)


def test_facts_of_empty_cells_are_finite():
    assert torch.isfinite(cell_facts(torch.zeros(3, 5))).all()


def test_a_change_of_zero_leaves_the_facts_and_gives_differences():
    """Along a count, a fact's derivative is its exact change when one molecule is added (for facts that are sums)."""
    x = counts(1)
    change = torch.zeros_like(x, requires_grad=True)
    facts = cell_facts(x, change)
    torch.testing.assert_close(facts, cell_facts(x))
    (gradient,) = torch.autograd.grad(facts[0, 1].exp(), change)
    for gene in range(x.shape[1]):
        more = x.clone()
        more[0, gene] += 1
        difference = (more > 0).sum() - (x > 0).sum()
        torch.testing.assert_close(gradient[0, gene], difference.float())


def test_recalibrating_moves_mean_and_spread_of_the_clumping_only():
    torch.manual_seed(0)
    quality, z = CellQuality(4), torch.randn(500, 4)
    torch.nn.init.normal_(quality.log.weight, std=0.2)
    before = quality.log(z).detach()
    center = before[:, 0].mean()
    quality.recalibrate(center, torch.tensor(0.7), torch.tensor(2.0))
    after = quality.log(z).detach()
    torch.testing.assert_close(after[:, 1:], before[:, 1:])
    torch.testing.assert_close(after[:, 0].mean(), center + 0.7)
    torch.testing.assert_close(after[:, 0].std(), 2 * before[:, 0].std())
