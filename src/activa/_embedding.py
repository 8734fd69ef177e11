import warnings

import numpy as np
import scanpy as sc
from anndata import AnnData


def umap_coordinates(components: np.ndarray, n_neighbors: int, min_dist: float, seed: int) -> np.ndarray:
    """UMAP of cells x components by scanpy, cells x 2."""
    adata = AnnData(components)
    with warnings.catch_warnings():
        # umap-learn's notes on a package that it can do without, on the seed that makes the plot repeatable, and on types
        # that lie far apart.
        warnings.filterwarnings("ignore", message="Tensorflow not installed", category=ImportWarning)
        warnings.filterwarnings("ignore", message="n_jobs value", category=UserWarning)
        warnings.filterwarnings("ignore", message="Graph is not fully connected", category=UserWarning)
        # scanpy 1.12 cannot read what pynndescent 0.7 gives, which it asks from 8,192 cells on
        neighbors = {"n_neighbors": min(n_neighbors, len(components) - 1), "transformer": "sklearn"}
        sc.pp.neighbors(adata, use_rep="X", random_state=seed, **neighbors)
        sc.tl.umap(adata, min_dist=min_dist, random_state=seed)
    return np.asarray(adata.obsm["X_umap"])
