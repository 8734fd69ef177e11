"""Log-likelihood of cells, of counts at a cost that follows those that are not zero."""

from __future__ import annotations

import math

import torch
from scvi.distributions import NegativeBinomial, Normal, Poisson, ZeroInflatedNegativeBinomial
from torch import Tensor

from activa.module._outliers import OutlierNegativeBinomial

type CellDistribution = NegativeBinomial | ZeroInflatedNegativeBinomial | Poisson | Normal


def log_likelihood(px: CellDistribution, x: Tensor) -> Tensor:
    r"""Log-likelihood of each cell, summed over genes, shape ``(n_cells,)``, nats.

    For the negative binomial this is ``px.log_prob(x).sum(-1)``, computed apart because that takes half of a training
    step: at 128 cells x 11,730 genes, 7% of them not zero, on 2 cores, forward and backward take 20 ms here and 41 ms
    there. The terms with a gamma function are zero where the count is, and are computed elsewhere only:

    .. math:: \log p(x) = -\theta \log(1 + \mu / \theta) + 1_{x > 0} \left( x \log \frac{\mu}{\theta + \mu}
        + \log \frac{\Gamma(x + \theta)}{\Gamma(\theta) \, x!} \right)

    With outliers both negative binomials are computed so.

    Parameters
    ----------
    px
        Likelihood of :mod:`scvi.distributions`, its parameters ``(..., n_cells, n_genes)``.
    x
        Cells, ``(n_cells, n_genes)``.
    """
    if isinstance(px, Normal) and px.scale.dim() == 0:
        # one variance for all values: what is the same for each is added once
        constant = x.shape[-1] * (px.scale.log() + 0.5 * math.log(2 * math.pi))
        return -(x - px.loc).square().sum(-1) / (2 * px.scale.square()) - constant
    if type(px) not in (NegativeBinomial, OutlierNegativeBinomial):
        return px.log_prob(x).sum(-1)
    mu = px.mu.clamp(min=1e-10)
    if mu.dim() > 2:
        x = x.expand_as(mu)
    # flat indices: gathering by cell and gene, and its gradient, take a fifth more where half of the counts are not zero
    where = x.reshape(-1).nonzero().squeeze(-1)
    counts = x.reshape(-1)[where]
    log_factorial = torch.lgamma(counts + 1)
    zero, counted = _negative_binomial(mu, px.theta, where, counts)
    if isinstance(px, OutlierNegativeBinomial):
        theta = px.outlier_theta.expand_as(mu)
        outlier_zero, outlier_counted = _negative_binomial(mu * px.outlier_factor, theta, where, counts)
        log_share, log_rest = px.outlier_share.log(), torch.log1p(-px.outlier_share)
        counted = torch.logaddexp(log_rest + counted, log_share + outlier_counted)
        zero = torch.logaddexp(log_rest + zero, log_share + outlier_zero)
    return zero.reshape(-1).index_copy(0, where, counted - log_factorial).view_as(zero).sum(-1)


def _negative_binomial(mu: Tensor, theta: Tensor, where: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """Log-likelihood of a zero for every gene, and of the counts above zero but for their factorials."""
    zero = -theta * torch.log1p(mu / theta)
    mu, theta, at_zero = (a.reshape(-1).index_select(0, where) for a in (mu, theta, zero))
    return zero, at_zero + counts * (mu.log() - (theta + mu).log()) + torch.lgamma(counts + theta) - torch.lgamma(theta)
