"""What is known of a cell besides its counts."""

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
