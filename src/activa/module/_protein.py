"""p(proteins | z, l, y, b): surface proteins of the cells whose genes are generated, out of the same latent."""

from __future__ import annotations

from typing import Literal

import torch
from scvi.distributions import NegativeBinomial, Normal
from torch import Tensor, nn

from activa.module._library import LibrarySize
from activa.module._networks import Generator
from activa.module._sampling import sample_cells

ProteinLikelihood = Literal["nb", "normal"]
type ProteinDistribution = NegativeBinomial | Normal

# Of the weights, in standard deviations of a protein (log counts under "nb"): wide, since proteins are few
_LOADING_SCALE, _OFFSET_SCALE = 1.0, 1.0


class ProteinModel(nn.Module):
    """Proteins beside the genes: how the encoder reads them, and their likelihood.

    Parameters
    ----------
    n_proteins
        Proteins.
    n_latent, n_joined
        Latent dimensions, and how much is joined to them (covariates, types).
    n_library_input
        What the model of the cells' protein totals is given, under ``"nb"``.
    likelihood
        ``"normal"`` for real values (CLR-normalized ones, say), ``"nb"`` for counts, whose totals a model of their own
        draws: how well a cell is stained is shared by all its proteins.
    """

    loc: Tensor
    scale: Tensor

    def __init__(
        self, n_proteins: int, n_latent: int, n_joined: int, n_library_input: int, likelihood: ProteinLikelihood
    ):
        super().__init__()
        self.n_proteins, self.likelihood = n_proteins, likelihood
        is_count = likelihood == "nb"
        self.generator = Generator(
            n_latent,
            n_joined,
            n_proteins,
            (),
            "none",
            "softmax" if is_count else "identity",
            zero_inflated=False,
            loading_scale=_LOADING_SCALE,
            offset_scale=_OFFSET_SCALE,
            curved=True,
        )
        # log inverse dispersion, or log standard deviation in standard deviations of the protein
        self.px_r = nn.Parameter(torch.full((n_proteins,), 2.0 if is_count else -0.5))
        self.library = LibrarySize(n_library_input) if is_count else None
        # what the encoder reads is standardized by these, which stay with the weights
        self.register_buffer("loc", torch.zeros(n_proteins))
        self.register_buffer("scale", torch.ones(n_proteins))

    def transform(self, proteins: Tensor) -> Tensor:
        """Values as they are, or log1p of counts less the cell's mean of it (the centered log-ratio)."""
        if self.likelihood == "normal":
            return proteins
        log = proteins.log1p()
        return log - log.mean(-1, keepdim=True)

    def standardized(self, proteins: Tensor) -> Tensor:
        """Proteins as the encoder reads them, ``(n_cells, n_proteins)``: of mean 0 and variance 1 in training cells."""
        return (self.transform(proteins) - self.loc) / self.scale

    @staticmethod
    def log_total(proteins: Tensor) -> Tensor:
        """Log of the cells' protein counts, ``(n_cells, 1)``; none count as one."""
        return proteins.sum(-1, keepdim=True).clamp(min=1.0).log()

    def start_from(self, proteins: Tensor) -> None:
        """Start from the training cells' means, and standardize by their moments.

        Parameters
        ----------
        proteins
            Values or counts, ``(n_cells, n_proteins)``.
        """
        values = self.transform(proteins)
        self.loc.copy_(values.mean(0))
        # a protein that does not vary tells nothing, and must not divide by zero
        self.scale.copy_(values.std(0, correction=0).clamp(min=1e-3))
        if self.library is not None:
            self.library.standardize(self.log_total(proteins).squeeze(-1))
            self.generator.start_at(proteins.sum(0) / proteins.sum().clamp(min=1.0))

    def start_from_components(self, loadings: Tensor, offsets: Tensor | None, n_cells: int) -> None:
        """Start the means from loadings ``(n_proteins, n_latent)`` and types' offsets of standardized proteins."""
        if self.likelihood == "nb":
            loadings = loadings * self.scale[:, None]
            offsets = None if offsets is None else offsets * self.scale
        self.generator.start_from(loadings, offsets, n_cells)

    def distribution(self, h: Tensor, log_total: Tensor | None) -> ProteinDistribution:
        """p(proteins | ...).

        Parameters
        ----------
        h
            Latents and what is joined to them, ``(..., n_cells, n_latent + n_joined)``.
        log_total
            Log of the cells' protein counts, ``(..., n_cells, 1)``; None under ``"normal"``.
        """
        mean, _ = self.generator(h)
        # the bounds keep lgamma, and the Gaussian's variance, in float32's range
        r = self.px_r.clamp(-6.0, 12.0).exp()
        if log_total is None:
            return Normal(self.loc + self.scale * mean, self.scale * r, validate_args=False)
        return NegativeBinomial(mu=mean * log_total.exp(), theta=r, scale=mean)

    @staticmethod
    def draw_with_gradient(proteins: ProteinDistribution) -> Tensor:
        """Sample with a gradient to the means, for the critic to read; through a count's draw it goes straight."""
        if isinstance(proteins, Normal):
            return proteins.rsample()
        return proteins.mean + (sample_cells(proteins) - proteins.mean).detach()
