"""What the plots of real and synthetic cells share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes
from scipy.sparse import csr_matrix

from activa._embedding import umap_coordinates
from activa.data import Cells, check_sets, read_cells
from activa.metrics.space import Space


def read_pair(
    real: AnnData, synthetic: AnnData, labels_key: str | None, layer: str | None, *, normalized: bool = False
) -> dict[str, Cells]:
    """Both sets, checked, with the genes in the order of ``real``."""
    sets = {"real": real, "synthetic": synthetic}
    check_sets(sets, labels_key, layer)
    for name, adata in sets.items():
        if not adata.n_obs:
            raise ValueError(f"{name} has no cells; there is nothing to plot.")
    return read_cells(sets, labels_key=labels_key, layer=layer, normalized=normalized)


def count_matrices(real: AnnData, synthetic: AnnData, layer: str | None) -> dict[str, csr_matrix]:
    """Counts of both sets, checked, with the genes in the order of ``real``."""
    matrices = {name: csr_matrix(cells.counts) for name, cells in read_pair(real, synthetic, None, layer).items()}
    for name, counts in matrices.items():
        if not counts.nnz or not counts.data.any():
            raise ValueError(f"{name} has no counts; there is nothing to plot.")
    return matrices


def all_types(cells: dict[str, Cells]) -> list[str]:
    """The types of both sets, sorted."""
    return sorted({*cells["real"].types, *cells["synthetic"].types})


def choose_types(types: Sequence[str] | None, known: list[str]) -> list[str]:
    """The types asked for, checked; by default all."""
    if types is None:
        return known
    types = [types] if isinstance(types, str) else [str(label) for label in types]
    if unknown := [label for label in types if label not in known]:
        raise ValueError(f"types {unknown} are in neither set; choose from {known}.")
    if not types:
        raise ValueError("types is empty; name at least one.")
    return types


def find_genes(genes: Sequence[str], real: AnnData) -> list[int]:
    """Indices of these genes, checked."""
    genes = [genes] if isinstance(genes, str) else list(genes)
    if not genes:
        raise ValueError("genes is empty; name at least one.")
    found = real.var_names.get_indexer(pd.Index(genes))
    if unknown := [gene for gene, at in zip(genes, found, strict=True) if at < 0]:
        raise KeyError(f"genes {unknown} are not in var_names, such as {list(real.var_names[:3])}.")
    return [int(at) for at in found]


def embed(cells: dict[str, Cells], n_neighbors: int, min_dist: float, seed: int) -> dict[str, np.ndarray]:
    """Cells x 2 of each set, in one UMAP of components fitted on both."""
    n_real, n_synthetic = len(cells["real"]), len(cells["synthetic"])
    if n_real + n_synthetic < 5:
        raise ValueError(f"real and synthetic have {n_real + n_synthetic} cells; a UMAP needs at least 5.")
    components = Space(cells["real"], seed).project_together(cells["real"], cells["synthetic"])
    coordinates = umap_coordinates(np.vstack(components), n_neighbors, min_dist, seed)
    return dict(zip(cells, np.split(coordinates, [n_real]), strict=True))


def size_of(n_cells: int, point_size: float | None) -> float:
    """Area of a point in points^2: as given, or the smaller the more cells there are."""
    return float(np.clip(12_000 / n_cells, 1, 12)) if point_size is None else point_size


def scatter(ax: Axes, coordinates: np.ndarray, colors: np.ndarray | str, size: float) -> None:
    """Cells of an embedding, in a square without ticks."""
    ax.scatter(coordinates[:, 0], coordinates[:, 1], c=colors, s=size, linewidths=0, rasterized=True)
    ax.set(xticks=[], yticks=[], box_aspect=1)
