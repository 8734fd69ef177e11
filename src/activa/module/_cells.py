"""p(x | z, l, y, b): the likelihood of a cell's counts, or values, around the generator's means."""

from __future__ import annotations

from typing import Literal

import torch
from scvi.distributions import NegativeBinomial, Normal, Poisson, ZeroInflatedNegativeBinomial
from torch import Tensor, nn

from activa.module._design import CellDesign
from activa.module._likelihood import CellDistribution
from activa.module._outliers import OutlierNegativeBinomial
from activa.module._rows import rows

GeneLikelihood = Literal["nb", "nb-outlier", "zinb", "poisson", "normal", "mse"]
COUNT_LIKELIHOODS: tuple[GeneLikelihood, ...] = ("nb", "nb-outlier", "zinb", "poisson")
Dispersion = Literal["gene", "gene-batch", "gene-label"]

# the share of outliers is below this: more is dispersion
_MAX_OUTLIERS = 0.02


class CellLikelihood(nn.Module):
    """What the likelihood has beside its means: dispersions, and outliers.

    Parameters
    ----------
    n_genes
        Genes.
    n_batch, n_labels
        Categories of batch and label.
    gene_likelihood, dispersion
        As in :class:`~activa.module.ACTIVAModule`.
    """

    def __init__(
        self,
        n_genes: int,
        n_batch: int,
        n_labels: int,
        gene_likelihood: GeneLikelihood,
        dispersion: Dispersion,
    ):
        super().__init__()
        self.gene_likelihood, self.dispersion = gene_likelihood, dispersion
        categories = {"gene-batch": (n_batch,), "gene-label": (n_labels,)}.get(dispersion, ())
        self.px_r = nn.Parameter(torch.zeros(n_genes, *categories), requires_grad=gene_likelihood != "mse")
        # before their links: share of outliers (as a part of its bound), how many times their mean exceeds a small
        # rate, their inverse dispersion, and the rate at which the excess is half of that
        self.outliers = nn.Parameter(torch.tensor([-1.0, 2.0, 0.0, 0.0])) if gene_likelihood == "nb-outlier" else None

    def start_from(self, inverse_dispersion: Tensor) -> None:
        """Start from each gene's theta, or standard deviation under the normal likelihood, ``(n_genes,)``."""
        r = inverse_dispersion.log()
        with torch.no_grad():
            self.px_r.copy_(r if self.px_r.dim() == 1 else r[:, None].expand_as(self.px_r))

    def forward(
        self, scale: Tensor, dropout_logits: Tensor | None, log_library: Tensor, design: CellDesign
    ) -> CellDistribution:
        """The distribution of cells.

        Parameters
        ----------
        scale
            Shares of the library size (means, under the normal likelihood), ``(..., n_cells, n_genes)``.
        dropout_logits
            Of zero inflation, the same shape; None without.
        log_library
            Log library sizes, ``(..., n_cells, 1)``.
        design
            The cells' types and batches.
        """
        if self.gene_likelihood == "mse":
            # L_AE, the squared error, is its negative log-likelihood up to a constant (supplement A.3)
            return Normal(scale, scale.new_tensor(0.5**0.5), normal_mu=scale, validate_args=False)
        r = self._dispersion(design)
        if self.gene_likelihood == "normal":
            return Normal(scale, r, normal_mu=scale, validate_args=False)
        rate = scale * log_library.exp()
        if self.gene_likelihood == "poisson":
            # a rate of zero (softmax underflow) has no log-likelihood
            return Poisson(rate.clamp(min=1e-10), scale=scale, validate_args=False)
        if self.gene_likelihood == "zinb":
            return ZeroInflatedNegativeBinomial(mu=rate, theta=r, zi_logits=dropout_logits, scale=scale)
        if self.outliers is not None:
            share, excess, theta, half = self.outliers
            share = _MAX_OUTLIERS * share.sigmoid()
            excess = excess.exp() / (1 + rate / half.exp())
            # with the outliers the mean is the rate, so that a cell's counts are its library size
            usual = rate / (1 + share * excess)
            return OutlierNegativeBinomial(usual, r, share, 1 + excess, theta.exp(), scale=scale)
        return NegativeBinomial(mu=rate, theta=r, scale=scale)

    def _dispersion(self, design: CellDesign) -> Tensor:
        r: Tensor = self.px_r
        if self.dispersion == "gene-batch":
            r = rows(r.T, design.batch_index.squeeze(-1).long())
        elif self.dispersion == "gene-label":
            r = rows(r.T, design.y.squeeze(-1).long())
        # the bounds keep lgamma, and the Gaussian's variance, in float32's range
        return r.clamp(-10.0, 12.0).exp()
