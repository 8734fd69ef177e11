import numpy as np
import pytest
import scipy.stats
import torch
from scvi.distributions import NegativeBinomial, Normal

from activa.module import (
    OutlierNegativeBinomial,
    draw_counts,
    sample_cells,
    sample_cells_with_gradient,
    sample_with_change,
)


def _with_outliers(mu, theta):
    outlier = (torch.full_like(mu, value) for value in (0.2, 15.0, 0.6))
    return OutlierNegativeBinomial(mu, theta.expand_as(mu), *outlier)


@pytest.mark.parametrize("draw", [sample_cells, lambda px: px.sample(), lambda px: sample_with_change(px)[0]])
def test_draws_with_outliers_have_their_mean_and_variance(draw):
    torch.manual_seed(0)
    px = _with_outliers(torch.full((200_000, 1), 2.0), torch.tensor([4.0]))
    x = draw(px)
    assert float(x.mean()) == pytest.approx(float(px.mean[0]), rel=0.03)
    assert float(x.var()) == pytest.approx(float(px.variance[0]), rel=0.06)
    assert float(px.mean[0]) == pytest.approx(0.8 * 2 + 0.2 * 15)


@pytest.mark.parametrize("mu, theta", [(0.05, 0.1), (0.8, 2.0), (1.0, 0.02), (6.0, 0.5), (5.0, 200.0), (60.0, 1.0)])
def test_negative_binomial_draws_follow_the_distribution(mu, theta):
    n = 40_000
    torch.manual_seed(1)
    px = NegativeBinomial(mu=torch.full((n, 1), mu), theta=torch.tensor([theta]))
    draws = sample_cells(px).numpy().ravel()
    assert (draws == np.round(draws)).all() and (draws >= 0).all()
    exact = scipy.stats.nbinom(theta, theta / (theta + mu))
    # bins with at least 20 expected, the tail in one
    edges = range(int(exact.ppf(0.9999)) + 2)
    observed, expected, o, e = [], [], 0.0, 0.0
    for k in edges:
        o, e = o + (draws == k).sum(), e + n * exact.pmf(k)
        if e >= 20:
            observed, expected, o, e = [*observed, o], [*expected, e], 0.0, 0.0
    observed[-1] += n - sum(observed)
    expected[-1] += n - sum(expected)
    assert scipy.stats.chisquare(observed, expected).pvalue > 1e-3


def test_draws_use_the_generator_and_are_in_order():
    px = _with_outliers(torch.rand(50, 30) * 3, torch.full((30,), 2.0))
    before = torch.get_rng_state()
    first, second = (draw_counts(px, torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    where, counts = first
    assert (where.diff() > 0).all() and 0 <= where.min() and where.max() < 1_500
    assert (counts >= 1).all() and (counts == counts.round()).all()
    assert not torch.equal(where, draw_counts(px, torch.Generator().manual_seed(2))[0])


@pytest.mark.parametrize("share", [0.0, 0.003, 0.4, 0.999])
def test_outliers_are_chosen_independently_with_their_share(share):
    # zeros, but for the outliers
    mu = torch.full((1, 400), 1e-12)
    outlier = (torch.full_like(mu, value) for value in (share, 1e4, 1e3))
    px = OutlierNegativeBinomial(mu, torch.ones_like(mu), *outlier)
    n, generator = 400, torch.Generator().manual_seed(0)
    times = torch.zeros(n)
    for _ in range(2_000):
        where, _ = draw_counts(px, generator)
        times[where] += 1
    error = np.sqrt(share * (1 - share) / 2_000)
    np.testing.assert_allclose(times / 2_000, share, atol=5 * error + 1e-9)
    assert float(times.mean()) / 2_000 == pytest.approx(share, abs=5 * error / n**0.5 + 1e-9)


def test_a_diverged_model_draws_zeros():
    mu = torch.full((4, 3), float("nan"))
    px = OutlierNegativeBinomial(mu, torch.ones(4, 3), mu, mu, torch.ones(4, 3))
    assert (sample_cells(px) == 0).all()


def test_rounding_creates_no_large_counts(monkeypatch):
    """The largest uniform number may exceed all that float32 sums of probabilities reach."""
    mean = torch.linspace(0.001, 8, 4_000)
    # nearly Poisson: every cluster has size one
    px = NegativeBinomial(mu=mean[None], theta=torch.full((4_000,), 1e20))
    monkeypatch.setattr(
        torch, "rand", lambda *shape, **_: torch.full(torch.Size(*shape) if len(shape) == 1 else shape, 1 - 2**-24)
    )
    found = sample_cells(px)[0].numpy()
    assert (found >= 1).all()
    assert (found <= scipy.stats.poisson.ppf(1 - 1e-10, mean.numpy()) + 1).all()


@pytest.mark.parametrize(
    "make",
    [
        lambda m: NegativeBinomial(mu=m, theta=torch.ones(5)),
        lambda m: _with_outliers(m, torch.ones(5)),
        lambda m: Normal(m, torch.ones_like(m)),
    ],
)
def test_sampled_cells_carry_a_gradient_to_their_means(make):
    torch.manual_seed(0)
    mean = torch.full((50, 5), 3.0, requires_grad=True)
    x = sample_cells_with_gradient(make(mean))
    assert (x >= 0).all()
    x.sum().backward()
    assert (mean.grad >= 0).all() and mean.grad.sum() > 100


def test_the_gradient_of_a_mean_fact_is_that_of_discrete_counts():
    """By finite differences of the exact mean number of genes and of ones, which straight-through gradients miss."""
    mu, theta = torch.linspace(0.05, 3, 8), torch.full((8,), 2.0)
    rates = mu.expand(60_000, 8).clone().requires_grad_()
    x, change = sample_with_change(NegativeBinomial(mu=rates, theta=theta), torch.Generator().manual_seed(0))
    genes, ones = (
        (x > 0).double() + (x == 0) * change,
        (x == 1).double() + ((x == 0).double() - (x == 1).double()) * change,
    )
    for fact, exact in (
        (genes, lambda m: 1 - scipy.stats.nbinom.pmf(0, 2.0, 2.0 / (2.0 + m))),
        (ones, lambda m: scipy.stats.nbinom.pmf(1, 2.0, 2.0 / (2.0 + m))),
    ):
        found = torch.autograd.grad(fact.sum(), rates, retain_graph=True)[0].mean(0)
        m = mu.double().numpy()
        np.testing.assert_allclose(found, (exact(m + 1e-4) - exact(m - 1e-4)) / 2e-4, atol=0.02)
