"""Log-likelihood and sampling of counts, at a cost that follows the counts that are not zero."""

from __future__ import annotations

import torch
from scvi.distributions import NegativeBinomial, Normal, Poisson, ZeroInflatedNegativeBinomial
from torch import Tensor
from torch.distributions import Distribution

# above this mean the gamma-Poisson draw is cheaper than counting up from zero
_MAX_INVERSION_MEAN = 8.0


def log_likelihood(px: Distribution, x: Tensor) -> Tensor:
    r"""Log-likelihood of each cell, summed over genes, shape ``(n_cells,)``, nats.

    For the negative binomial this is ``px.log_prob(x).sum(-1)``, computed apart because that takes half of a training
    step: at 128 cells x 11,730 genes, 7% of them not zero, on 2 cores, forward and backward take 20 ms here and 41 ms
    there. The terms with a gamma function are zero where the count is, and are computed elsewhere only:

    .. math:: \log p(x) = -\theta \log(1 + \mu / \theta) + 1_{x > 0} \left( x \log \frac{\mu}{\theta + \mu}
        + \log \frac{\Gamma(x + \theta)}{\Gamma(\theta) \, x!} \right)

    Parameters
    ----------
    px
        Likelihood of :mod:`scvi.distributions`, its parameters ``(..., n_cells, n_genes)``.
    x
        Cells, ``(n_cells, n_genes)``.
    """
    if type(px) is not NegativeBinomial:
        return px.log_prob(x).sum(-1)
    mu, theta = px.mu.clamp(min=1e-10), px.theta
    log_p = -theta * torch.log1p(mu / theta)
    if mu.dim() > 2:
        x = x.expand_as(mu)
    where = x.nonzero(as_tuple=True)
    x1, mu1, theta1 = x[where], mu[where], theta[where]
    counted = (
        x1 * (mu1.log() - (theta1 + mu1).log()) + torch.lgamma(x1 + theta1) - torch.lgamma(theta1) - torch.lgamma(x1 + 1)
    )
    return log_p.index_put(where, counted, accumulate=True).sum(-1)


def sample_cells(px: Distribution) -> Tensor:
    """Draw cells, the shape of the distribution's parameters, without a gradient.

    A negative binomial count with a small mean comes from one uniform number by inversion of the distribution function,
    counting up from zero: most genes of a cell are zero, whose probability is closed-form, and only the others go on.
    The rest, and the other likelihoods, are drawn as their distribution draws. Exact up to the resolution of a float32
    uniform number (6e-8). At 128 cells x 11,730 genes this takes 23 ms on 2 cores where ``px.sample()`` takes 76 ms.

    Parameters
    ----------
    px
        Likelihood of :mod:`scvi.distributions`.
    """
    with torch.no_grad():
        if not isinstance(px, NegativeBinomial):
            # scvi's own draws are inference tensors, which autograd refuses: clone
            return px.sample().clone()
        counts = _sample_negative_binomial(px.mu, px.theta)
        if isinstance(px, ZeroInflatedNegativeBinomial):
            counts = counts * (1 - torch.bernoulli(px.zi_probs))
        return counts


def _sample_negative_binomial(mu: Tensor, theta: Tensor) -> Tensor:
    # rand() gives [0, 1): the smallest step above keeps log(0) and endless counting away
    u = torch.rand_like(mu)
    # log p(0) = -theta log(1 + mu / theta)
    p_zero = torch.exp(-theta * torch.log1p(mu / theta))
    counts = torch.zeros_like(mu)
    small = mu <= _MAX_INVERSION_MEAN

    where = (small & (u >= p_zero)).nonzero(as_tuple=True)
    u1, mu1, theta1, cdf = u[where], mu[where], theta[where], p_zero[where]
    p, ratio = cdf.clone(), mu1 / (mu1 + theta1)
    x1 = torch.zeros_like(u1)
    active = torch.arange(u1.numel(), device=mu.device)
    k = 0
    while active.numel() and k < 10_000:
        # p(k + 1) = p(k) (k + theta) / (k + 1) mu / (mu + theta)
        p[active] = p[active] * (k + theta1[active]) / (k + 1) * ratio[active]
        cdf[active] = cdf[active] + p[active]
        k += 1
        x1[active] = k
        active = active[u1[active] >= cdf[active]]
    counts[where] = x1

    where = (~small).nonzero(as_tuple=True)
    mu1, theta1 = mu[where], theta[where]
    counts[where] = torch.poisson((mu1 * torch._standard_gamma(theta1) / theta1).clamp(max=1e8))
    return counts


def sample_cells_with_gradient(px: Distribution) -> Tensor:
    """Draw cells with a gradient to the distribution's means, for the critic to read, ``(n_cells, n_genes)``.

    The gradient of a count is that of its mean (straight through the draw); a Gaussian is reparameterised, and cut at
    zero as generated cells are.

    Parameters
    ----------
    px
        Likelihood of :mod:`scvi.distributions`.
    """
    if isinstance(px, Normal):
        return torch.relu(px.rsample())
    mean = px.rate if isinstance(px, Poisson) else px.mu
    return mean + (sample_cells(px) - mean).detach()
