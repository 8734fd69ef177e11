"""Brain Small, 20,000 of 10x's 1.3 million brain cells."""

from __future__ import annotations

import warnings
from pathlib import Path

import pandas as pd
import scanpy as sc
from anndata import AnnData
from scipy import sparse

from activa.datasets._download import fetch, reading
from activa.datasets._prepare import check_split, prepare
from activa.datasets._read import to_adata
from activa.optional import import_optional

_SOURCE = (
    "10x Genomics (2017), 1.3 Million Brain Cells from E18 Mice, Cell Ranger 1.3.0, the subsample of 20,000 cells "
    "(1M_neurons_neuron20k.h5); the types are clusters that activa made."
)
_N_TOP_GENES = 1000
_N_COMPONENTS = 50


def brain_small(
    cache_dir: str | Path | None = None,
    *,
    test_fraction: float = 0.1,
    filtered: bool = True,
    resolution: float = 0.15,
    seed: int | None = 0,
) -> AnnData:
    """20,000 brain cells of embryonic mice (E18), with clusters in place of types, as none are published.

    The file is kept, with its SHA-256 beside it, and is checked at each later call. Without a connection, put it into
    the cache folder by hand; the error names the address and the path.

    Parameters
    ----------
    cache_dir
        Folder for the downloaded file. None for the environment variable ``ACTIVA_DATA_DIR`` or, without it, the user's
        cache folder (``~/.cache/activa`` on Linux).
    test_fraction
        Share of each cluster's cells that is kept for tests, at least 0 and below 1: the whole part of
        ``test_fraction`` x n of the n cells of a cluster. The paper holds out 1,997 cells, as 0.1 may.
    filtered
        Whether to drop genes that fewer than 3 cells have and then cells that have fewer than 10 genes, as the paper
        does (:func:`activa.pp.filter_low`).
    resolution
        Resolution of the clustering; higher for more clusters.
    seed
        Seed of the split; None for a fresh one. The clusters do not depend on it.

    Returns
    -------
    AnnData
        20,000 cells x 17,970 genes if the filters leave what they left in the paper, and x 27,998 genes without them.
        ``X`` holds whole counts (CSR, float32); ``obs["cell_type"]`` the clusters, numbered from the largest, "0" and so
        on (categorical); ``obs["split"]`` "train" or "test" (categorical); ``var["gene_id"]`` Ensembl's identifiers, the
        names being symbols made unique; ``uns["source"]`` where the data come from.

    Raises
    ------
    ValueError
        If ``test_fraction``, ``resolution`` or ``seed`` is out of range; nothing is downloaded then.
    ImportError
        If pooch or igraph is not installed.
    ConnectionError
        If the file is not in the cache and cannot be downloaded.
    RuntimeError
        If the file in the cache has changed, or cannot be read.

    Notes
    -----
    The paper's 8 classes are clusters that scGAN's preprocessing made: 1,000 variable genes by Zheng's recipe, 50
    principal components, Louvain on 15 neighbors at a resolution of 0.15. Here it is the same with Leiden, Louvain's
    successor, on weighted neighbors; the clusters are not the paper's, nor need they be 8.

    This was written without a connection: the address, format and sizes are those in public code and in the papers, and
    the loader has been tested on a small made file in this format, not on the data.

    References
    ----------
    10x Genomics (2017), `1.3 Million Brain Cells from E18 Mice
    <https://support.10xgenomics.com/single-cell-gene-expression/datasets/1.3.0/1M_neurons>`_

    Marouf et al. (2020), scGAN, Nature Communications 11:166, `doi:10.1038/s41467-019-14018-z
    <https://doi.org/10.1038/s41467-019-14018-z>`_

    Examples
    --------
    >>> adata = activa.datasets.brain_small()  # doctest: +SKIP
    >>> adata.obs["cell_type"].value_counts()  # doctest: +SKIP
    """
    seed = check_split(test_fraction, seed)
    if not resolution > 0:
        raise ValueError(f"resolution must be positive, got {resolution}.")
    import_optional("igraph", "brain_small()", "data")
    path = fetch("1M_neurons_neuron20k.h5", cache_dir)
    with reading(path):
        adata = _read_h5(path)
    clusters = pd.DataFrame({"cell_type": _clusters(adata, resolution)})
    return prepare(adata, clusters, filtered=filtered, test_fraction=test_fraction, seed=seed, source=_SOURCE)


def _read_h5(path: Path) -> AnnData:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Variable names are not unique", category=UserWarning)
        adata = sc.read_10x_h5(path)
    return to_adata(adata.X, cells=adata.obs_names, symbols=adata.var_names, gene_ids=adata.var["gene_ids"])


def _clusters(counts: AnnData, resolution: float) -> pd.Series:
    """Leiden clusters of the cells, by their names."""
    cells = counts.copy()
    sc.pp.filter_genes(cells, min_counts=1)
    sc.pp.normalize_total(cells)
    variable = sc.pp.highly_variable_genes(
        sc.pp.log1p(cells, copy=True), flavor="cell_ranger", n_top_genes=min(_N_TOP_GENES, cells.n_vars), inplace=False
    )["highly_variable"].to_numpy()
    cells = cells[:, variable].copy()
    sc.pp.normalize_total(cells)
    sc.pp.log1p(cells)
    cells.X = sparse.csr_matrix(cells.X).toarray()  # centered below
    sc.pp.scale(cells)
    sc.pp.pca(cells, n_comps=_N_COMPONENTS, random_state=0)
    with warnings.catch_warnings():
        # umap-learn's note on a package that it can do without
        warnings.filterwarnings("ignore", message="Tensorflow not installed", category=ImportWarning)
        # scanpy 1.12 cannot read what pynndescent 0.7 gives, its choice for so many cells
        sc.pp.neighbors(cells, n_pcs=_N_COMPONENTS, transformer="sklearn", random_state=0)
    sc.tl.leiden(cells, resolution=resolution, flavor="igraph", n_iterations=-1, random_state=0)
    by_size = cells.obs["leiden"].value_counts().index
    return cells.obs["leiden"].cat.rename_categories({name: str(i) for i, name in enumerate(by_size)}).astype(str)
