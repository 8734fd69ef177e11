"""The paper's filters and scaling (those of scGAN), by scanpy."""

from __future__ import annotations

import scanpy as sc
from anndata import AnnData


def filter_low(adata: AnnData, *, min_genes: int = 10, min_cells: int = 3, copy: bool = False) -> AnnData | None:
    """Drop genes that hardly a cell has, then cells that have hardly a gene.

    Parameters
    ----------
    adata
        Cells x genes of counts, in ``X``.
    min_genes
        Genes that a cell must have counts of.
    min_cells
        Cells that must have counts of a gene.
    copy
        Whether to return what is left and leave ``adata`` as it is.

    Returns
    -------
    None, or the copy.

    Raises
    ------
    ValueError
        If nothing would be left; ``adata`` is as it was.

    Examples
    --------
    >>> activa.pp.filter_low(adata)
    """
    genes, _ = sc.pp.filter_genes(adata, min_cells=min_cells, inplace=False)
    left = adata[:, genes]
    cells, _ = sc.pp.filter_cells(left, min_genes=min_genes, inplace=False)
    if not genes.any() or not cells.any():
        raise ValueError(
            f"No cell has counts of min_genes={min_genes} genes that min_cells={min_cells} cells have: {adata.n_obs} cells "
            f"x {adata.n_vars} genes were looked at. Lower the bounds."
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
    adata
        Cells x genes of counts.
    target_sum
        What a cell's values sum to; the paper's is 20,000.
    log
        Whether to take log(1 + x) after it. The paper's model is trained without.
    layer
        Layer to scale; None for ``X``.
    copy
        Whether to return a scaled copy and leave ``adata`` as it is.

    Returns
    -------
    None, or the copy; float32 values.

    Raises
    ------
    ValueError
        If ``target_sum`` is not positive.
    KeyError
        If there is no such layer.

    Examples
    --------
    >>> activa.pp.scale_library(adata, 20_000)
    """
    if not target_sum > 0:
        raise ValueError(f"target_sum must be positive, got {target_sum}.")
    if layer is not None and layer not in adata.layers:
        raise KeyError(f"layer={layer!r} is not in adata.layers, which has {list(dict(adata.layers))}.")
    adata = adata.copy() if copy else adata
    sc.pp.normalize_total(adata, target_sum=target_sum, layer=layer)
    if log:
        sc.pp.log1p(adata, layer=layer)
    return adata if copy else None
