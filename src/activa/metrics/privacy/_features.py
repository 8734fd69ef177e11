"""What an attacker sees of a candidate cell beside synthetic ones."""

import numpy as np
from sklearn.neighbors import NearestNeighbors

N_NEIGHBOURS = 10


def features(pool: np.ndarray, synthetic: np.ndarray) -> np.ndarray:
    """Features of every cell of the pool, ``(n_cells, 5)``.

    Log distances to the nearest synthetic cell and, averaged, to the ten nearest (the local density); log rank of the cell
    among the pool's cells by the distance to its nearest synthetic cell; log number of synthetic cells that it is the
    nearest of the pool to; and log distance to the nearest other cell of the pool, the cell's difficulty.

    Parameters
    ----------
    pool
        Candidates, cells x components.
    synthetic
        Synthetic cells in the same components.
    """
    found = NearestNeighbors(n_neighbors=min(N_NEIGHBOURS, len(synthetic))).fit(synthetic).kneighbors(pool)
    to_synthetic, nearest_synthetic = found[0], found[1][:, 0]
    among_pool = NearestNeighbors(n_neighbors=1).fit(pool)
    own = among_pool.kneighbors()[0][:, 0]
    hits = np.bincount(among_pool.kneighbors(synthetic)[1][:, 0], minlength=len(pool))
    rank = _rank(pool, synthetic, nearest_synthetic, to_synthetic[:, 0])
    # A copy's distance is zero, but for rounding: as near as a thousandth of the usual distance is near enough.
    least = 1e-3 * max(np.median(own), np.finfo(float).tiny)
    distances = [to_synthetic[:, 0], to_synthetic.mean(axis=1), own]
    nearest, density, difficulty = (np.log(np.maximum(x, least)) for x in distances)
    return np.column_stack([nearest, density, np.log1p(rank), np.log1p(hits), difficulty])


def _rank(pool: np.ndarray, synthetic: np.ndarray, of: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """How many cells of the pool are nearer to a cell's nearest synthetic cell than it is; few are told apart from many."""
    k = min(50, len(pool))
    nearer = NearestNeighbors(n_neighbors=k).fit(pool).kneighbors(synthetic[of])[0]
    return (nearer < distance[:, None] * (1 - 1e-9)).sum(axis=1)
