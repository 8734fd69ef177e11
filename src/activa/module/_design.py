"""What is known of cells besides their counts, and of all of them before training."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class CellDesign(NamedTuple):
    """Type, batch and covariates of cells: tensors with one row a cell."""

    y: Tensor
    """Type code, ``(n_cells, 1)``."""
    batch_index: Tensor
    """Batch code, ``(n_cells, 1)``."""
    cat_covs: Tensor | None = None
    """Codes of the categorical covariates, ``(n_cells, n_covariates)``."""
    cont_covs: Tensor | None = None
    """Continuous covariates, ``(n_cells, n_covariates)``."""

    def take(self, rows: Tensor | slice) -> CellDesign:
        """The design of some cells, each as often as it is asked for."""
        cat_covs, cont_covs = (None if part is None else part[rows] for part in (self.cat_covs, self.cont_covs))
        return CellDesign(self.y[rows], self.batch_index[rows], cat_covs, cont_covs)


class ComponentsStart(NamedTuple):
    """Principal components, which training starts from."""

    center: Tensor
    """Mean log-normalized expression, ``(n_genes,)``."""
    projection: Tensor
    """From centered log-normalized expression to latents of unit variance, ``(n_latent, n_genes)``."""
    loadings: Tensor
    """From latents to log expression, ``(n_genes, n_latent)``."""
    offsets: Tensor | None
    """Log expression of each type less that of all cells, ``(n_labels, n_genes)``; None where types are no input."""
    batch_offsets: Tensor
    """What each batch adds to the log expression of its types, ``(n_batch, n_genes)``; zero where there is one batch."""
    label_means: Tensor
    """The latents of each type's mean cell, ``(n_labels, n_latent)``; zero where types are no input."""
    prior_loc: Tensor
    """Means of each type's latents, ``(n_labels, n_components, n_latent)``."""
    prior_scale: Tensor
    """Their standard deviations, ``(n_labels, n_components, n_latent)``."""
    prior_weight: Tensor
    """Weights of the components, ``(n_labels, n_components)``."""
    gate_weight: Tensor
    """From latents to logits of the labels, ``(n_labels, n_latent)``."""
    gate_bias: Tensor
    """Logits of the labels at the mean latent, ``(n_labels,)``."""
    n_cells: int
    """Cells that are trained on."""
