"""p(x | z, l, y, b): the likelihood of a cell's counts, or values, around the generator's means."""

from __future__ import annotations

import math
from typing import Literal

import torch
from scvi.distributions import NegativeBinomial, Normal
from torch import Tensor, nn

from activa.module.quality import Quality
from activa.settings import GeneLikelihood

type CellDistribution = NegativeBinomial | Normal

# upper bound of the share of all counts that outliers add, and of their chance: more would model expression
_MAX_OUTLIERS = 0.3
# below it a chance has no gradient: its logarithm must be finite where the mean is zero
_MIN_CHANCE = 1e-30


class OutlierNegativeBinomial(NegativeBinomial):
    r"""A mixture of a negative binomial and, with a small chance, an outlier: a count far above what the cell's state explains.

    .. math:: p(x) = (1 - \pi) \, NB(x; \mu, \theta) + \pi \, NB(x - 1; \kappa - 1, \phi)

    Real data have such counts everywhere (in PBMC 3k about one per cell has 10 or more where less than half a count is
    expected): amplification artifacts, chimeras, bursts. A single negative binomial must broaden all counts of a gene to
    cover them, and the latent bends to fit them.

    Parameters
    ----------
    mu, theta, scale
        As in :class:`scvi.distributions.NegativeBinomial`, for the counts that are not outliers; of one shape.
    outlier_share, outlier_mean, outlier_theta
        Chance of an outlier :math:`\pi`, its mean :math:`\kappa`, above 1, and its inverse dispersion :math:`\phi`; of mu's
        shape.
    """

    def __init__(
        self,
        mu: Tensor,
        theta: Tensor,
        outlier_share: Tensor,
        outlier_mean: Tensor,
        outlier_theta: Tensor,
        scale: Tensor | None = None,
    ):
        super().__init__(mu=mu, theta=theta, scale=scale, validate_args=False)
        self.outlier_share, self.outlier_mean, self.outlier_theta = outlier_share, outlier_mean, outlier_theta

    @property
    def outlier(self) -> NegativeBinomial:
        """The distribution of outliers minus one."""
        return NegativeBinomial(mu=self.outlier_mean - 1, theta=self.outlier_theta, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """Mean counts, including outliers."""
        return self.mu + self.outlier_share * (self.outlier_mean - self.mu)

    @property
    def variance(self) -> Tensor:
        """Variance of the counts."""
        more = self.outlier_mean - 1
        usual = self.mu + self.mu**2 / self.theta + self.mu**2
        unusual = more + more**2 / self.outlier_theta + self.outlier_mean**2
        return (1 - self.outlier_share) * usual + self.outlier_share * unusual - self.mean**2

    def get_normalized(self, key: Literal["mu", "scale"]) -> Tensor:
        """Mean counts, including outliers, or shares of the library size; called by scvi-tools."""
        return self.mean if key == "mu" else super().get_normalized(key)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-probability of counts, nats."""
        usual = torch.log1p(-self.outlier_share) + super().log_prob(value)
        unusual = self.outlier_share.clamp(min=_MIN_CHANCE).log() + self.outlier.log_prob((value - 1).clamp(min=0))
        return torch.where(value > 0, torch.logaddexp(usual, unusual), usual)

    @torch.inference_mode()
    def sample(self, sample_shape: torch.Size | tuple | None = None) -> Tensor:
        """Draw counts with PyTorch's global generator, as scvi-tools does."""
        shape = sample_shape or torch.Size()
        usual, unusual = super().sample(shape), 1 + self.outlier.sample(shape)
        return torch.where(torch.rand_like(usual) < self.outlier_share, unusual, usual)


class CellLikelihood(nn.Module):
    """The likelihood with its own parameters: dispersions and outliers."""

    def __init__(self, n_genes: int, gene_likelihood: GeneLikelihood):
        super().__init__()
        self.gene_likelihood = gene_likelihood
        self.px_r = nn.Parameter(torch.zeros(n_genes), requires_grad=gene_likelihood != "mse")
        # on the scale of their links: share of all counts that outliers add, what an outlier adds, its inverse dispersion
        self.outliers = nn.Parameter(torch.tensor([-4.0, 2.3, 0.0])) if gene_likelihood == "nb-outlier" else None

    def initialize_dispersion(self, inverse_dispersion: Tensor) -> None:
        """Set each gene's inverse dispersion (or standard deviation under the normal likelihood), ``(n_genes,)``."""
        with torch.no_grad():
            self.px_r.copy_(inverse_dispersion.log())

    def dispersion(self) -> Tensor:
        """Inverse dispersion of each gene, or standard deviation, ``(n_genes,)``; bounded to float32's range of lgamma."""
        return self.px_r.clamp(-10.0, 12.0).exp()

    def outlier_parameters(self) -> Tensor | None:
        """Share of all counts that outliers add, what an outlier adds, and its inverse dispersion; None without outliers."""
        if self.outliers is None:
            return None
        share, size, theta = self.outliers
        return torch.stack([_MAX_OUTLIERS * share.sigmoid(), 1 + size.clamp(max=8.0).exp(), theta.exp()])

    def forward(self, scale: Tensor, log_library: Tensor, quality: Quality | None = None) -> CellDistribution:
        """The distribution of cells with these shares of the library size (means, if values are not counts)."""
        if self.gene_likelihood == "mse":
            # its negative log-likelihood is L_AE, the squared error, up to a constant (supplement A.3)
            return Normal(scale, scale.new_tensor(0.5**0.5), normal_mu=scale, validate_args=False)
        r = self.dispersion()
        if self.gene_likelihood == "normal":
            return Normal(scale, r, normal_mu=scale, validate_args=False)
        rate = scale * log_library.exp()
        if quality is not None:
            # variance mu (1 + clumping) + mu^2 / (theta precision)
            r = 1 / (1 / (r * quality.precision) + quality.clumping / rate.clamp(min=1e-8))
        outliers = self.outlier_parameters()
        if outliers is None:
            return NegativeBinomial(mu=rate, theta=r, scale=scale)
        share, size, theta = outliers
        # each molecule has the same chance to become an outlier of about the same size, whatever the gene
        chance = -_MAX_OUTLIERS * torch.expm1(-rate * share / (size * _MAX_OUTLIERS))
        # the mean including outliers is the rate, so that counts add up to the library size
        usual = rate - chance * size
        outlier = usual + size
        outlier_theta = (outlier - 1).square() / (usual.square() / r + size.square() / theta)
        return OutlierNegativeBinomial(usual, r, chance, outlier, outlier_theta, scale=scale)


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
    zero = -px.theta * torch.log1p(mu / px.theta)
    *usual, at_zero = (_at(values.expand_as(mu), where) for values in (mu, px.theta, zero))
    counted = at_zero + _above_zero(counts, *usual)
    if isinstance(px, OutlierNegativeBinomial):
        share, more, theta = (
            _at(values, where) for values in (px.outlier_share, px.outlier_mean - 1, px.outlier_theta)
        )
        outlier = _above_zero(counts - 1, more, theta) - theta * torch.log1p(more / theta) + counts.log()
        counted = torch.logaddexp(torch.log1p(-share) + counted, share.clamp(min=_MIN_CHANCE).log() + outlier)
        zero = zero + torch.log1p(-px.outlier_share)
    return zero.reshape(-1).index_copy(0, where, counted - torch.lgamma(counts + 1)).view_as(zero).sum(-1)


def _at(values: Tensor, where: Tensor) -> Tensor:
    return values.reshape(-1).index_select(0, where)


def _above_zero(counts: Tensor, mu: Tensor, theta: Tensor) -> Tensor:
    """Log-likelihoods of counts minus that of a zero, without their factorials."""
    return counts * (mu.log() - (theta + mu).log()) + torch.lgamma(counts + theta) - torch.lgamma(theta)
