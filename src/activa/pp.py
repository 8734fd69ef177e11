"""The paper's filters and scaling (those of scGAN), by scanpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import scanpy as sc
from anndata import AnnData
from scipy.sparse import issparse

from activa.arguments import check_booleans, check_integers, check_numbers
from activa.checks import check_values_of, row_slices, values_in

__all__ = ["filter_low", "scale_library"]


def filter_low(adata: AnnData, *, min_genes: int = 10, min_cells: int = 3, copy: bool = False) -> AnnData | None:
    """Drop genes with counts in few cells, then cells with counts of few genes; a ValueError if nothing would be left.

    Parameters
    ----------
    adata, copy
        Cells x genes of counts, in ``X``; and whether to return a filtered copy and leave ``adata`` unchanged.
    min_genes, min_cells
        Minimum numbers of genes with counts per cell, and of cells with counts per gene.

    Examples
    --------
    >>> activa.pp.filter_low(adata, min_cells=100, copy=True).n_vars < adata.n_vars
    True
    """
    check_booleans(copy=copy)
    check_integers(least=0, min_genes=min_genes, min_cells=min_cells)
    check_values_of(adata, layer=None)
    _are_whole(adata, None)
    genes, _ = sc.pp.filter_genes(adata, min_cells=min_cells, inplace=False)
    left = adata[:, genes]
    cells, _ = sc.pp.filter_cells(left, min_genes=min_genes, inplace=False)
    if not genes.any() or not cells.any():
        raise ValueError(
            f"Nothing is left of {adata.n_obs} cells x {adata.n_vars} genes, got min_genes={min_genes} and "
            f"min_cells={min_cells}: lower one of them."
        )
    if copy:
        return left[cells].copy()
    adata._inplace_subset_var(genes)
    adata._inplace_subset_obs(cells)
    return None


def scale_library(
    adata: AnnData, target_sum: float = 20_000, *, log: bool = False, layer: str | None = None, copy: bool = False
) -> AnnData | None:
    """Scale the counts of each cell to the same sum; a ValueError for negative, infinite, missing or log-transformed values.

    Parameters
    ----------
    adata, copy
        As in :func:`filter_low`.
    target_sum
        Sum of each cell's scaled values; 20,000 in the paper. A ValueError is raised unless it is positive and finite.
    log, layer
        Whether to apply log(1 + x) afterwards (the paper does not); and the layer to scale, None for ``X``.

    Examples
    --------
    >>> float(activa.pp.scale_library(adata, 20_000, copy=True).X[0].sum().round())
    20000.0
    """
    check_numbers(target_sum=target_sum, above=0)
    check_booleans(log=log, copy=copy)
    check_values_of(adata, layer=layer)
    if not _are_whole(adata, layer) and layer is None and "log1p" in adata.uns:
        raise ValueError("adata.X was log-transformed (uns['log1p']): name the layer that has the counts.")
    adata = adata.copy() if copy else adata
    sc.pp.normalize_total(adata, target_sum=target_sum, layer=layer)
    if log:
        sc.pp.log1p(adata, layer=layer)
    return adata if copy else None


def _are_whole(adata: AnnData, layer: str | None) -> bool:
    """Whether all values are whole numbers; a ValueError unless they are finite and not negative."""
    x: Any = adata.X if layer is None else adata.layers[layer]
    are_whole = True
    for part in row_slices(adata.n_obs):
        values = x[part].data if issparse(x) else np.asarray(x[part])
        if not np.isfinite(values).all() or (values < 0).any():
            raise ValueError(f"{values_in(layer)} has values that are negative or not finite: give counts.")
        are_whole = are_whole and bool((values == np.round(values)).all())
    return are_whole
