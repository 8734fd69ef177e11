"""p(proteins | z, l, y, b): surface proteins, generated from the same latent as the genes."""

from __future__ import annotations

from typing import Literal

import torch
from scvi.distributions import NegativeBinomial, Normal
from torch import Tensor, nn

from activa.module.networks import Generator
from activa.module.prior import LibrarySize
from activa.settings import ProteinLikelihood

type ProteinDistribution = NegativeBinomial | Normal


class ProteinModel(nn.Module):
    """Input scaling and likelihood of surface proteins: ``"normal"`` for real values, ``"nb"`` for counts.

    Totals of counts have a model of their own with ``n_library`` inputs, because staining affects all proteins of a cell.
    ``n_joined`` inputs (depth, covariates, types) follow the latent in the generator's input.
    """

    loc: Tensor
    scale: Tensor

    def __init__(self, n_proteins: int, n_latent: int, n_joined: int, n_library: int, likelihood: ProteinLikelihood):
        super().__init__()
        self.n_proteins, self.likelihood = n_proteins, likelihood
        is_count = likelihood == "nb"
        # wide priors of the weights: proteins are few, each measured deeply
        activation: Literal["softmax", "identity"] = "softmax" if is_count else "identity"
        self.generator = Generator(n_latent, n_joined, n_proteins, activation, loading_scale=1.0, offset_scale=1.0)
        # log inverse dispersion; under "normal" the log standard deviation of standardized proteins
        self.px_r = nn.Parameter(torch.full((n_proteins,), 2.0 if is_count else -0.5))
        self.library = LibrarySize(n_library) if is_count else None
        # standardize the encoder's input; buffers, so that they are saved with the weights
        self.register_buffer("loc", torch.zeros(n_proteins))
        self.register_buffer("scale", torch.ones(n_proteins))

    def transform(self, proteins: Tensor) -> Tensor:
        """Centered log-ratio of counts (log1p minus the cell's mean log1p); real values unchanged."""
        if self.likelihood == "normal":
            return proteins
        log = proteins.log1p()
        return log - log.mean(-1, keepdim=True)

    def standardized(self, proteins: Tensor) -> Tensor:
        """The encoder's input, ``(n_cells, n_proteins)``, with mean 0 and variance 1 in the training cells."""
        return (self.transform(proteins) - self.loc) / self.scale

    @staticmethod
    def log_total(proteins: Tensor) -> Tensor:
        """Log of each cell's protein counts, at least 0, ``(n_cells, 1)``."""
        return proteins.sum(-1, keepdim=True).clamp(min=1.0).log()

    def initialize_from_moments(self, proteins: Tensor) -> None:
        """Set means and standardization from the training cells' values or counts, ``(n_cells, n_proteins)``."""
        values = self.transform(proteins)
        self.loc.copy_(values.mean(0))
        # a constant protein must not divide by zero
        self.scale.copy_(values.std(0, correction=0).clamp(min=1e-3))
        if self.library is not None:
            self.library.standardize(self.log_total(proteins).squeeze(-1))
            self.generator.initialize_means(proteins.sum(0) / proteins.sum().clamp(min=1.0))

    def initialize_from_components(self, loadings: Tensor, offsets: Tensor | None, n_cells: int) -> None:
        """Set the weights from loadings ``(n_proteins, n_latent)`` and type offsets of standardized proteins."""
        if self.likelihood == "nb":
            loadings = loadings * self.scale[:, None]
            offsets = None if offsets is None else offsets * self.scale
        self.generator.initialize_weights(loadings, offsets, n_cells)

    def distribution(self, h: Tensor, log_total: Tensor | None) -> ProteinDistribution:
        """p(proteins | ...), given the log of each cell's protein counts, ``(..., n_cells, 1)``, unless ``"normal"``."""
        mean = self.generator(h)
        # the bounds keep lgamma, and the Gaussian's variance, in float32's range
        r = self.px_r.clamp(-6.0, 12.0).exp()
        if log_total is None:
            return Normal(self.loc + self.scale * mean, self.scale * r, validate_args=False)
        return NegativeBinomial(mu=mean * log_total.exp(), theta=r, scale=mean)
