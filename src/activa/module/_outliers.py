"""A negative binomial in which a small share of the counts are outliers."""

from __future__ import annotations

from typing import Literal

import torch
from scvi.distributions import NegativeBinomial
from torch import Tensor


class OutlierNegativeBinomial(NegativeBinomial):
    r"""A mixture of a negative binomial and, for a small share of the counts, a broader one of higher mean.

    .. math:: p(x) = (1 - \pi) \, NB(x; \mu, \theta) + \pi \, NB(x; \kappa \mu, \phi)

    In real data single counts are far above what the cell's state explains (in PBMC 3k about five a cell are more than
    six standard deviations off): artifacts of amplification, chimeras, bursts. One negative binomial has to broaden all
    counts of a gene to cover them, and its cells' variation bends to fit them.

    Parameters
    ----------
    mu, theta
        Mean and inverse dispersion of the counts that are no outliers, as of
        :class:`scvi.distributions.NegativeBinomial`.
    outlier_share
        Share of outliers :math:`\pi`, scalar.
    outlier_factor
        How many times higher their mean is, :math:`\kappa`, scalar or of mu's shape.
    outlier_theta
        Their inverse dispersion :math:`\phi`, scalar.
    scale
        Shares of the library size, for scvi-tools.
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
        """The distribution of an outlier."""
        theta = self.outlier_theta.expand_as(self.mu)
        return NegativeBinomial(mu=self.mu * self.outlier_factor, theta=theta, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """Mean counts, outliers among them."""
        return self.mu * (1 + self.outlier_share * (self.outlier_factor - 1))

    @property
    def variance(self) -> Tensor:
        """Variance of the counts."""
        share, mu = self.outlier_share, self.mu * self.outlier_factor
        usual = self.mu + self.mu**2 / self.theta + self.mu**2
        unusual = mu + mu**2 / self.outlier_theta + mu**2
        return (1 - share) * usual + share * unusual - self.mean**2

    def get_normalized(self, key: Literal["mu", "scale"]) -> Tensor:
        """Mean counts, outliers among them, or shares of the library size; asked for by scvi-tools."""
        return self.mean if key == "mu" else super().get_normalized(key)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-probability of counts."""
        usual = torch.log1p(-self.outlier_share) + super().log_prob(value)
        return torch.logaddexp(usual, self.outlier_share.log() + self.outlier.log_prob(value))

    @torch.inference_mode()
    def sample(self, sample_shape: torch.Size | tuple | None = None) -> Tensor:
        """Draw counts."""
        shape = sample_shape or torch.Size()
        usual, unusual = super().sample(shape), self.outlier.sample(shape)
        return torch.where(torch.rand_like(usual) < self.outlier_share, unusual, usual)
