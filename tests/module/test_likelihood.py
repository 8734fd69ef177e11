import numpy as np
import pytest
import scipy.stats
import torch
from scvi.distributions import NegativeBinomial, Normal, Poisson, ZeroInflatedNegativeBinomial

from activa.module import OutlierNegativeBinomial, draw_counts, log_likelihood, sample_cells, sample_cells_with_gradient


def test_log_likelihood_equals_scipys_and_its_gradient_scvis():
    torch.manual_seed(0)
    mu = (torch.rand(6, 30) * 5 + 0.01).requires_grad_()
    theta = (torch.rand(30) * 3 + 0.05).requires_grad_()
    x = torch.poisson(torch.rand(6, 30) * 4)
    ours = log_likelihood(NegativeBinomial(mu=mu, theta=theta), x)
    r, p = theta.detach().double().numpy(), (theta / (theta + mu)).detach().double().numpy()
    np.testing.assert_allclose(ours.detach(), scipy.stats.nbinom.logpmf(x, r, p).sum(-1), rtol=1e-5)
    theirs = NegativeBinomial(mu=mu, theta=theta).log_prob(x).sum(-1)
    for a, b in zip(*(torch.autograd.grad(v.sum(), [mu, theta]) for v in (ours, theirs)), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


def test_log_likelihood_of_posterior_samples_has_their_shape():
    mu, x = torch.rand(3, 4, 10) + 0.1, torch.poisson(torch.ones(4, 10))
    found = log_likelihood(NegativeBinomial(mu=mu, theta=torch.ones(10)), x)
    one = log_likelihood(NegativeBinomial(mu=mu[1], theta=torch.ones(10)), x)
    assert found.shape == (3, 4)
    torch.testing.assert_close(found[1], one)


def _with_outliers(mu, theta):
    return OutlierNegativeBinomial(mu, theta, torch.tensor(0.2), torch.tensor(7.0), torch.tensor(0.6))


def test_outliers_are_a_mixture_of_scipys():
    mu, theta = torch.linspace(0.05, 9, 24).reshape(2, 12), torch.linspace(0.3, 30, 12)
    x = torch.poisson(mu * 3, generator=torch.Generator().manual_seed(0))
    px = _with_outliers(mu.requires_grad_(), theta)

    def pmf(mu, theta):
        return scipy.stats.nbinom.pmf(x.numpy(), theta, theta / (theta + mu))

    exact = np.log(
        0.8 * pmf(mu.detach().double().numpy(), theta.double().numpy()) + 0.2 * pmf(7 * mu.detach().numpy(), 0.6)
    )
    np.testing.assert_allclose(px.log_prob(x).detach(), exact, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(log_likelihood(px, x).detach(), exact.sum(-1), rtol=1e-4)
    ours, theirs = (torch.autograd.grad(v.sum(), mu)[0] for v in (log_likelihood(px, x), px.log_prob(x)))
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("draw", [sample_cells, lambda px: px.sample()])
def test_draws_with_outliers_have_their_mean_and_variance(draw):
    torch.manual_seed(0)
    px = _with_outliers(torch.full((200_000, 1), 2.0), torch.tensor([4.0]))
    x = draw(px)
    assert float(x.mean()) == pytest.approx(float(px.mean[0]), rel=0.03)
    assert float(x.var()) == pytest.approx(float(px.variance[0]), rel=0.06)
    assert float(px.mean[0]) == pytest.approx(0.8 * 2 + 0.2 * 14)


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


@pytest.mark.parametrize("rate", [0.03, 0.9, 7.0, 30.0])
def test_poisson_draws_follow_the_distribution(rate):
    torch.manual_seed(0)
    draws = sample_cells(Poisson(rate=torch.full((40_000, 1), rate))).numpy().ravel()
    exact = scipy.stats.poisson(rate)
    edges = np.unique(exact.ppf([0.001, 0.1, 0.3, 0.5, 0.7, 0.9, 0.999]))
    observed = [(draws <= edge).mean() for edge in edges]
    np.testing.assert_allclose(observed, exact.cdf(edges), atol=0.01)


def test_draws_are_of_the_generator_and_in_order():
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
def test_each_is_chosen_with_the_same_probability(share):
    from activa.module._sampling import _chosen

    n, generator = 400, torch.Generator().manual_seed(0)
    times = torch.zeros(n)
    for _ in range(2_000):
        found = _chosen(n, share, generator, torch.device("cpu"))
        assert len(found) == 0 or ((found.diff() > 0).all() and 0 <= found[0] and found[-1] < n)
        times[found] += 1
    error = np.sqrt(share * (1 - share) / 2_000)
    np.testing.assert_allclose(times / 2_000, share, atol=5 * error + 1e-9)
    assert float(times.mean()) / 2_000 == pytest.approx(share, abs=5 * error / n**0.5 + 1e-9)


def test_a_model_gone_wrong_draws_zeros():
    mu = torch.full((4, 3), float("nan"))
    px = OutlierNegativeBinomial(mu, torch.ones(3), torch.tensor(float("nan")), torch.ones(4, 3), torch.tensor(1.0))
    assert (sample_cells(px) == 0).all()


def test_no_count_comes_of_rounding():
    """The largest uniform number may be above all that float32 sums of probabilities reach."""
    from activa.module._sampling import _invert_poisson

    mean = torch.linspace(0.001, 8, 4_000)
    found = _invert_poisson(mean, torch.full_like(mean, 1 - 2**-24)).numpy()
    assert (found <= scipy.stats.poisson.ppf(1 - 1e-10, mean.numpy()) + 1).all()


def test_zero_inflation_adds_zeros():
    torch.manual_seed(0)
    mu, theta = torch.full((20_000, 1), 5.0), torch.tensor([2.0])
    px = ZeroInflatedNegativeBinomial(mu=mu, theta=theta, zi_logits=torch.zeros(20_000, 1))
    zero = scipy.stats.nbinom(2.0, 2 / 7).pmf(0)
    assert float((sample_cells(px) == 0).float().mean()) == pytest.approx(0.5 + 0.5 * zero, abs=0.02)


@pytest.mark.parametrize(
    "make",
    [
        lambda m: NegativeBinomial(mu=m, theta=torch.ones(5)),
        lambda m: ZeroInflatedNegativeBinomial(mu=m, theta=torch.ones(5), zi_logits=torch.zeros_like(m)),
        lambda m: Poisson(rate=m),
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
