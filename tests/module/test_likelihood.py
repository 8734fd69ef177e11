import numpy as np
import scipy.stats
import torch
from scvi.distributions import NegativeBinomial, Normal

from activa.module import OutlierNegativeBinomial, Quality, log_likelihood
from activa.module.likelihood import CellLikelihood


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
    outlier = (torch.full_like(mu, value) for value in (0.2, 8.0, 0.6))
    return OutlierNegativeBinomial(mu, theta.expand_as(mu), *outlier)


def test_outliers_are_a_mixture_of_scipys():
    mu, theta = torch.linspace(0.05, 9, 24).reshape(2, 12), torch.linspace(0.3, 30, 12)
    x = torch.poisson(mu * 3, generator=torch.Generator().manual_seed(0))
    px = _with_outliers(mu.requires_grad_(), theta)

    def pmf(x, mu, theta):
        return scipy.stats.nbinom.pmf(x.numpy(), theta, theta / (theta + mu))

    exact = np.log(0.8 * pmf(x, mu.detach().double().numpy(), theta.double().numpy()) + 0.2 * pmf(x - 1, 7.0, 0.6))
    np.testing.assert_allclose(px.log_prob(x).detach(), exact, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(log_likelihood(px, x).detach(), exact.sum(-1), rtol=1e-4)
    ours, theirs = (torch.autograd.grad(v.sum(), mu)[0] for v in (log_likelihood(px, x), px.log_prob(x)))
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


def test_quality_adds_variance_in_proportion_to_the_mean():
    likelihood = CellLikelihood(5, "nb")
    likelihood.initialize_dispersion(torch.tensor([0.5, 1.0, 2.0, 8.0, 50.0]))
    scale, log_library = torch.full((2, 5), 0.2), torch.tensor([[1.0], [4.0]])
    quality = Quality(*(torch.tensor([[value], [value / 2]]) for value in (0.4, 1.0, 3.0)))
    px = likelihood(scale, log_library, quality)
    theta = likelihood.px_r.exp() * quality.precision
    expected = px.mean * (1 + quality.clumping) + px.mean**2 / theta
    torch.testing.assert_close(px.variance, expected, rtol=1e-4, atol=1e-5)


def test_one_variance_for_all_values_gives_the_same_log_likelihood():
    torch.manual_seed(0)
    x, loc = torch.rand(5, 20), torch.rand(3, 5, 20)
    scalar, full = Normal(loc, torch.tensor(0.7)), Normal(loc, torch.full((20,), 0.7))
    scalar.scale = torch.tensor(0.7)
    expected = scipy.stats.norm.logpdf(x, loc, 0.7).sum(-1)
    np.testing.assert_allclose(log_likelihood(full, x), expected, rtol=1e-5)
    np.testing.assert_allclose(log_likelihood(scalar, x), expected, rtol=1e-5)
