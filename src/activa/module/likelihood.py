"""p(x | z, l, y, b): the likelihood of a cell's counts, or values, around the generator's means."""

from __future__ import annotations

import math
from typing import Literal

import torch
from scvi.distributions import NegativeBinomial, Normal
from torch import Tensor, nn

from activa.settings import GeneLikelihood

type CellDistribution = NegativeBinomial | Normal

# upper bound of the share of outliers: a larger share would model dispersion
_MAX_OUTLIERS = 0.02


class OutlierNegativeBinomial(NegativeBinomial):
    r"""A mixture of a negative binomial and, for a small share of the counts, a broader one with a higher mean.

    .. math:: p(x) = (1 - \pi) \, NB(x; \mu, \theta) + \pi \, NB(x; \kappa \mu, \phi)

    In real data single counts are far above what the cell's state explains (in PBMC 3k about five per cell exceed six
    standard deviations): amplification artifacts, chimeras, bursts. A single negative binomial must broaden all counts
    of a gene to cover them, and the latent bends to fit them.

    Parameters
    ----------
    mu, theta, scale
        As in :class:`scvi.distributions.NegativeBinomial`, for the counts that are not outliers.
    outlier_share, outlier_factor, outlier_theta
        Share of outliers :math:`\pi`, ratio of their mean to the others' :math:`\kappa` (may be of mu's shape), and their
        inverse dispersion :math:`\phi`; scalars.
    """

    def __init__(
        self,
        mu: Tensor,
        theta: Tensor,
        outlier_share: Tensor,
        outlier_factor: Tensor,
        outlier_theta: Tensor,
        scale: Tensor | None = None,
    ):
        super().__init__(mu=mu, theta=theta, scale=scale, validate_args=False)
        self.outlier_share, self.outlier_factor, self.outlier_theta = outlier_share, outlier_factor, outlier_theta

    @property
    def outlier(self) -> NegativeBinomial:
        """The distribution of outliers."""
        theta = self.outlier_theta.expand_as(self.mu)
        return NegativeBinomial(mu=self.mu * self.outlier_factor, theta=theta, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """Mean counts, including outliers."""
        return self.mu * (1 + self.outlier_share * (self.outlier_factor - 1))

    @property
    def variance(self) -> Tensor:
        """Variance of the counts."""
        share, mu = self.outlier_share, self.mu * self.outlier_factor
        usual = self.mu + self.mu**2 / self.theta + self.mu**2
        unusual = mu + mu**2 / self.outlier_theta + mu**2
        return (1 - share) * usual + share * unusual - self.mean**2

    def get_normalized(self, key: Literal["mu", "scale"]) -> Tensor:
        """Mean counts, including outliers, or shares of the library size; called by scvi-tools."""
        return self.mean if key == "mu" else super().get_normalized(key)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-probability of counts, nats."""
        usual = torch.log1p(-self.outlier_share) + super().log_prob(value)
        return torch.logaddexp(usual, self.outlier_share.log() + self.outlier.log_prob(value))

    @torch.inference_mode()
    def sample(self, sample_shape: torch.Size | tuple | None = None) -> Tensor:
        """Draw counts with PyTorch's global generator, as scvi-tools does."""
        shape = sample_shape or torch.Size()
        usual, unusual = super().sample(shape), self.outlier.sample(shape)
        return torch.where(torch.rand_like(usual) < self.outlier_share, unusual, usual)


class CellLikelihood(nn.Module):
    """The likelihood with its own parameters: dispersions and outliers."""

    def __init__(self, n_genes: int, gene_likelihood: GeneLikelihood):
        super().__init__()
        self.gene_likelihood = gene_likelihood
        self.px_r = nn.Parameter(torch.zeros(n_genes), requires_grad=gene_likelihood != "mse")
        # on the scale of their links: share of outliers relative to its bound, excess of their mean at low rates, their
        # inverse dispersion, and the rate at which the excess is halved
        self.outliers = nn.Parameter(torch.tensor([-1.0, 2.0, 0.0, 0.0])) if gene_likelihood == "nb-outlier" else None

    def initialize_dispersion(self, inverse_dispersion: Tensor) -> None:
        """Set each gene's inverse dispersion (or standard deviation under the normal likelihood), ``(n_genes,)``."""
        with torch.no_grad():
            self.px_r.copy_(inverse_dispersion.log())

    def forward(self, scale: Tensor, log_library: Tensor) -> CellDistribution:
        """The distribution of cells with these shares of the library size (means, if values are not counts)."""
        if self.gene_likelihood == "mse":
            # its negative log-likelihood is L_AE, the squared error, up to a constant (supplement A.3)
            return Normal(scale, scale.new_tensor(0.5**0.5), normal_mu=scale, validate_args=False)
        # the bounds keep lgamma, and the Gaussian's variance, in float32's range
        r = self.px_r.clamp(-10.0, 12.0).exp()
        if self.gene_likelihood == "normal":
            return Normal(scale, r, normal_mu=scale, validate_args=False)
        rate = scale * log_library.exp()
        if self.outliers is None:
            return NegativeBinomial(mu=rate, theta=r, scale=scale)
        share, excess, theta, half = self.outliers
        share = _MAX_OUTLIERS * share.sigmoid()
        excess = excess.exp() / (1 + rate / half.exp())
        # the mean including outliers is the rate, so that counts add up to the library size
        usual = rate / (1 + share * excess)
        return OutlierNegativeBinomial(usual, r, share, 1 + excess, theta.exp(), scale=scale)


def log_likelihood(px: CellDistribution, x: Tensor) -> Tensor:
    r"""Log-likelihood of each cell, summed over genes, nats, ``(..., n_cells)``.

    The negative binomial's equals ``px.log_prob(x).sum(-1)`` in half the time, because gamma functions are computed for
    nonzero counts only; elsewhere their terms are zero:

    .. math:: \log p(x) = -\theta \log(1 + \mu / \theta) + 1_{x > 0} \left( x \log \frac{\mu}{\theta + \mu}
        + \log \frac{\Gamma(x + \theta)}{\Gamma(\theta) \, x!} \right)
    """
    if isinstance(px, Normal):
        if px.scale.dim() > 0:
            return px.log_prob(x).sum(-1)
        # with one variance for all values, the constant terms are added once
        constant = x.shape[-1] * (px.scale.log() + 0.5 * math.log(2 * math.pi))
        return -(x - px.loc).square().sum(-1) / (2 * px.scale.square()) - constant
    mu = px.mu.clamp(min=1e-10)
    if mu.dim() > 2:
        x = x.expand_as(mu)
    # flat indices: indexing by cell and gene, with its gradient, takes a fifth longer when half of the counts are nonzero
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
    """Log-likelihoods of a zero for every gene, and of the nonzero counts without their factorials."""
    zero = -theta * torch.log1p(mu / theta)
    mu, theta, at_zero = (a.reshape(-1).index_select(0, where) for a in (mu, theta, zero))
    return zero, at_zero + counts * (mu.log() - (theta + mu).log()) + torch.lgamma(counts + theta) - torch.lgamma(theta)
