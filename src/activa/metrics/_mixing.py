import numpy as np
from numpy.typing import ArrayLike
from sklearn.neighbors import NearestNeighbors

from activa._optional import import_optional

from ._checks import as_pair


def mixing(real: ArrayLike, synthetic: ArrayLike, *, n_neighbors: int = 90) -> float:
    """How well real and synthetic cells mix: iLISI of scib-metrics, with the origin as batch.

    The inverse Simpson index of origins among a cell's neighbours, its median over all cells, scaled from 0 (each
    cell lies among its own kind) to 1 (both kinds are equally frequent around every cell). Chance keeps it below 1:
    a perfect generator stands at the floor.

    Parameters
    ----------
    real, synthetic
        Cells x features; :func:`~activa.metrics.evaluate` gives 50 principal components fitted on real cells. The
        index assumes equal numbers of both.
    n_neighbors
        Neighbours of a cell, itself included; fewer where there are fewer cells. The perplexity is a third of it.

    Returns
    -------
    The scaled index.

    Raises
    ------
    ValueError
        If the sets differ in features, hold non-finite values, or have fewer than five cells.
    ImportError
        Without scib-metrics, which the ``eval`` extra installs.

    References
    ----------
    Korsunsky et al. 2019, doi:10.1038/s41592-019-0619-0 (LISI); scaled as in Luecken et al. 2022,
    doi:10.1038/s41592-021-01336-8.

    Examples
    --------
    >>> cells = np.random.default_rng(0).normal(size=(200, 5))
    >>> mixing(cells, cells + 100)
    0.0
    """
    scib_metrics = import_optional("scib_metrics", "mixing")
    neighbors = import_optional("scib_metrics.nearest_neighbors", "mixing")

    real, synthetic = as_pair(real, synthetic, min_cells=5)
    cells = np.vstack([real, synthetic])
    origin = np.repeat([0, 1], [len(real), len(synthetic)])
    n_neighbors = min(n_neighbors, len(cells) - 1)
    distances, indices = NearestNeighbors(n_neighbors=n_neighbors).fit(cells).kneighbors(cells)
    found = neighbors.NeighborsResults(indices=indices, distances=distances)
    return float(scib_metrics.ilisi_knn(found, origin, scale=True))
