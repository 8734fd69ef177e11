"""The paper's filters and scaling (those of scGAN), by scanpy."""

from __future__ import annotations

import scanpy as sc
from anndata import AnnData

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
    """Scale the counts of each cell to the same sum.

    Parameters
    ----------
    adata, copy
        As in :func:`filter_low`.
    target_sum
        Sum of each cell's scaled values; 20,000 in the paper. A ValueError is raised unless it is positive.
    log, layer
        Whether to apply log(1 + x) afterwards (the paper does not); and the layer to scale, None for ``X``.

    Examples
    --------
    >>> float(activa.pp.scale_library(adata, 20_000, copy=True).X[0].sum().round())
    20000.0
    """
    if not target_sum > 0:
        raise ValueError(f"target_sum must be positive, got {target_sum}.")
    if layer is not None and layer not in adata.layers:
        raise KeyError(f"layer must be a layer of adata, got {layer!r}; adata.layers has {list(dict(adata.layers))}.")
    adata = adata.copy() if copy else adata
    sc.pp.normalize_total(adata, target_sum=target_sum, layer=layer)
    if log:
        sc.pp.log1p(adata, layer=layer)
    return adata if copy else None
