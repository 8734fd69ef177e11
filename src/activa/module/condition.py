"""The inputs that a cell's distribution is conditioned on, and the start of training from principal components."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Condition(NamedTuple):
    """Type, batch and covariates of cells: tensors with one row per cell."""

    y: Tensor
    """Type codes, ``(n_cells, 1)``."""
    batch_index: Tensor
    """Batch codes, ``(n_cells, 1)``."""
    cat_covs: Tensor | None = None
    """Codes of the categorical covariates, ``(n_cells, n_covariates)``."""
    cont_covs: Tensor | None = None
    """Continuous covariates, ``(n_cells, n_covariates)``."""

    @property
    def types(self) -> Tensor:
        """Type codes as an index, int64 ``(n_cells,)``."""
        return self.y.squeeze(-1).long()

    @property
    def batches(self) -> Tensor:
        """Batch codes as an index, int64 ``(n_cells,)``."""
        return self.batch_index.squeeze(-1).long()

    def take(self, rows: Tensor | slice) -> Condition:
        """The condition of the chosen cells; an index may repeat a cell."""
        cat_covs, cont_covs = (None if part is None else part[rows] for part in (self.cat_covs, self.cont_covs))
        return Condition(self.y[rows], self.batch_index[rows], cat_covs, cont_covs)


class ComponentsStart(NamedTuple):
    """Principal components and types of the training cells, from which training starts."""

    center: Tensor
    """Mean log-normalized expression, ``(n_genes,)``."""
    projection: Tensor
    """Map from centered log-normalized expression to latents of unit variance, ``(n_latent, n_genes)``."""
    loadings: Tensor
    """Map from latents to log expression, ``(n_genes, n_latent)``."""
    offsets: Tensor | None
    """Log expression of each type minus that of all cells, ``(n_labels, n_genes)``; None if types are not an input."""
    batch_offsets: Tensor
    """Effect of each batch on log expression, ``(n_batch, n_genes)``; zero for a single batch."""
    label_means: Tensor
    """Latent of each type's mean cell, ``(n_labels, n_latent)``; zero if types are not an input."""
    prior_loc: Tensor
    """Means of the prior's Gaussians, ``(n_labels, n_components, n_latent)``."""
    prior_scale: Tensor
    """Their standard deviations, ``(n_labels, n_components, n_latent)``."""
    prior_weight: Tensor
    """Their weights, ``(n_labels, n_components)``."""
    gate_weight: Tensor
    """Map from latents to logits of the labels, ``(n_labels, n_latent)``."""
    gate_bias: Tensor
    """Logits of the labels at latent 0, ``(n_labels,)``."""
    n_cells: int
    """Number of training cells."""
