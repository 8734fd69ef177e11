"""The paper's three datasets (68K PBMC, Brain Small, NeuroCOVID), and the 700 cells of 68K PBMC that scanpy ships."""

from __future__ import annotations

import tarfile
import warnings
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData
from scipy import sparse

from activa.datasets.fetching import check_split, fetch, prepare, read_mtx, reading, to_adata
from activa.optional import import_optional

_ZHENG = (
    "Zheng et al. (2017), Massively parallel digital transcriptional profiling of single cells, Nature Communications "
    "8:14049, doi:10.1038/ncomms14049; "
)
_REDUCED = (
    f"{_ZHENG}68K PBMC, donor A. 700 cells and 765 genes as shipped with scanpy (scanpy.datasets.pbmc68k_reduced), counts "
    "recovered from its log-normalized values."
)
_PBMC68K = (
    f"{_ZHENG}10x Genomics, Fresh 68K PBMCs (Donor A), Cell Ranger 1.1.0, and the cell types of "
    "github.com/10XGenomics/single-cell-3prime-paper."
)
_BRAIN_SMALL = (
    "10x Genomics (2017), 1.3 Million Brain Cells from E18 Mice, Cell Ranger 1.3.0, the subsample of 20,000 cells "
    "(1M_neurons_neuron20k.h5); the types are clusters that activa made."
)
_NEUROCOVID = (
    "Heming et al. (2021), Neurological Manifestations of COVID-19 Feature T Cell Exhaustion and Dedifferentiated "
    "Monocytes in Cerebrospinal Fluid, Immunity 54:164-175, doi:10.1016/j.immuni.2020.12.011; GEO GSE163005."
)


def pbmc68k(
    cache_dir: str | Path | None = None, *, test_fraction: float = 0.1, filtered: bool = True, seed: int | None = 0
) -> AnnData:
    """68,579 peripheral blood cells of one donor, with the cell types of the study.

    The files are downloaded once, checked against known checksums, and kept. Without a connection, put them into the
    cache folder by hand; the error names the addresses and the paths. The study (Zheng et al. 2017,
    https://doi.org/10.1038/ncomms14049) assigned the types by correlation with purified cells. The paper's 10 classes
    are apparently clusters, so that its results per class cannot be compared type by type. The loaders were tested on
    small files in the same formats, not on the data. A ValueError, ImportError (without pooch), ConnectionError or
    RuntimeError (a damaged file).

    Parameters
    ----------
    cache_dir
        Folder for the files. None: the environment variable ``ACTIVA_DATA_DIR``, or else the user's cache folder.
    test_fraction, seed, filtered
        Share of the cells of each type that is held out (rounded down), at least 0 and below 1 (the paper holds out
        6,991 cells); seed of the split (None: a fresh one); and whether to filter as the paper does
        (:func:`activa.pp.filter_low`).

    Returns
    -------
    68,579 cells x 32,738 genes, or 17,789 after the paper's filters. ``X`` holds whole counts (CSR, float32),
    ``obs["cell_type"]`` the 11 types and ``obs["split"]`` "train" or "test" (categorical), ``var["gene_id"]`` Ensembl's
    identifiers (the names are unique symbols), ``uns["source"]`` where the data come from.

    Examples
    --------
    >>> adata = activa.datasets.pbmc68k(test_fraction=7_000 / 68_579)  # doctest: +SKIP
    """
    seed = check_split(test_fraction, seed)
    archive = fetch("fresh_68k_pbmc_donor_a_filtered_gene_bc_matrices.tar.gz", cache_dir)
    types = fetch("68k_pbmc_barcodes_annotation.tsv", cache_dir)
    with reading(archive, types), tarfile.open(archive, "r:gz") as members:
        annotation = pd.read_csv(types, sep="\t", dtype=str).set_index("barcodes")[["celltype"]]
        annotation.columns = ["cell_type"]
        # the archive's folders (filtered_matrices_mex/hg19) do not matter
        files = {PurePosixPath(member.name).name: members.extractfile(member) for member in members if member.isfile()}
        counts = read_mtx(files["matrix.mtx"], files["genes.tsv"], files["barcodes.tsv"])
        return prepare(counts, annotation, _PBMC68K, filtered, test_fraction, seed)


def brain_small(
    cache_dir: str | Path | None = None,
    *,
    test_fraction: float = 0.1,
    filtered: bool = True,
    resolution: float = 0.15,
    seed: int | None = 0,
) -> AnnData:
    """20,000 of 10x's 1.3 million brain cells of embryonic mice (E18), with clusters as types: none are published.

    The data are https://support.10xgenomics.com/single-cell-gene-expression/datasets/1.3.0/1M_neurons. The paper's 8
    classes are clusters of scGAN's preprocessing (Marouf et al. 2020, https://doi.org/10.1038/s41467-019-14018-z):
    1,000 variable genes by Zheng's recipe, 50 principal components, Louvain on 15 neighbors at a resolution of 0.15.
    This function uses Leiden on weighted neighbors (it needs igraph), so that its clusters may differ.

    Arguments and errors are those of :func:`pbmc68k`; the paper holds out 1,997 cells. A higher ``resolution`` gives
    more clusters, which do not depend on ``seed``.

    Returns
    -------
    As from :func:`pbmc68k`: 20,000 cells x 27,998 genes, or 17,970 after the paper's filters. ``obs["cell_type"]``
    holds the clusters "0", "1", ..., the largest first.

    Examples
    --------
    >>> adata = activa.datasets.brain_small()  # doctest: +SKIP
    """
    seed = check_split(test_fraction, seed)
    if not resolution > 0:
        raise ValueError(f"resolution must be positive, got {resolution}.")
    import_optional("igraph", "brain_small()", "data")
    path = fetch("1M_neurons_neuron20k.h5", cache_dir)
    with reading(path), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Variable names are not unique", category=UserWarning)
        read = sc.read_10x_h5(path)
        adata = to_adata(read.X, cells=read.obs_names, symbols=read.var_names, gene_ids=read.var["gene_ids"])
    clusters = pd.DataFrame({"cell_type": _clusters(adata, resolution)})
    return prepare(adata, clusters, _BRAIN_SMALL, filtered, test_fraction, seed)


def neurocovid(
    cache_dir: str | Path | None = None, *, test_fraction: float = 0.1, filtered: bool = True, seed: int | None = 0
) -> AnnData:
    """Cells of the cerebrospinal fluid of patients with COVID-19 and controls, with the cell types of the study.

    Arguments, errors and result are those of :func:`pbmc68k`. No checksums of the files are known. The study is Heming
    et al. (2021), Immunity 54:164-175, https://doi.org/10.1016/j.immuni.2020.12.011. Only cells that have a type (16 in
    the paper) are kept; ``obs["diagnosis"]`` (COVID, IIH, MS, VE) and ``obs["patient"]`` are the study's annotation.
    Patients were sequenced separately, so that ``patient`` is a sensible ``batch_key``.

    Examples
    --------
    >>> adata = activa.datasets.neurocovid()  # doctest: +SKIP
    """
    seed = check_split(test_fraction, seed)
    counts = [fetch(f"GSE163005_{name}.gz", cache_dir) for name in ("matrix.mtx", "features.tsv", "barcodes.tsv")]
    files = {"cell_type": "cluster", "diagnosis": "dx", "patient": "patients"}
    annotation = {key: fetch(f"GSE163005_annotation_{name}.csv.gz", cache_dir) for key, name in files.items()}
    with reading(*counts, *annotation.values()):
        # R wrote the barcode and one value per row; the column names carry no information
        columns = {key: pd.read_csv(file, index_col=0, dtype=str).iloc[:, 0] for key, file in annotation.items()}
        return prepare(read_mtx(*counts), pd.DataFrame(columns), _NEUROCOVID, filtered, test_fraction, seed)


def pbmc68k_reduced() -> AnnData:
    r"""700 labeled peripheral blood cells and 765 genes with whole counts, without a download.

    scanpy's copy (:func:`scanpy.datasets.pbmc68k_reduced`) holds :math:`\log(1 + 10^4 c_{ng} / l_n)` for the count
    :math:`c_{ng}` of gene :math:`g` in cell :math:`n` and the cell's total :math:`l_n` over all genes. A cell's
    smallest non-zero value is a count of 1; exponentiated values divided by it are the counts (CSR, float32), or a
    RuntimeError. ``obs["cell_type"]`` holds the 10 types (categorical; 8 to 240 cells per type), ``uns["source"]``
    where the data come from.

    Examples
    --------
    >>> activa.datasets.pbmc68k_reduced().shape
    (700, 765)
    """
    bundled = sc.datasets.pbmc68k_reduced()
    log_normalized = sparse.csr_matrix(bundled.raw.X)
    log_normalized.sort_indices()
    types = {"cell_type": pd.Categorical(bundled.obs["bulk_labels"])}
    return AnnData(
        X=_whole_counts(log_normalized),
        obs=pd.DataFrame(types, index=bundled.obs_names.rename(None)),
        var=pd.DataFrame(index=bundled.raw.var_names.rename(None)),
        uns={"source": _REDUCED},
    )


def _whole_counts(log_normalized: sparse.csr_matrix) -> sparse.csr_matrix:
    """Undo log1p and the division by the library size; each cell must hold a gene with a count of 1."""
    scaled = np.expm1(log_normalized.data.astype(np.float64))
    of_one_count = np.minimum.reduceat(scaled, log_normalized.indptr[:-1])
    counts = scaled / np.repeat(of_one_count, np.diff(log_normalized.indptr))
    whole = np.rint(counts)
    # scanpy keeps three decimals of each logarithm: a count of 260 comes back to within 0.13 of a whole number.
    if (deviation := np.abs(counts - whole).max()) > 0.25:
        raise RuntimeError(
            f"Whole counts cannot be recovered from scanpy's pbmc68k_reduced: a value is {deviation:.2f} away from a "
            "whole number, expected at most 0.25. Please report it."
        )
    matrix = whole.astype(np.float32), log_normalized.indices, log_normalized.indptr
    return sparse.csr_matrix(matrix, shape=log_normalized.shape)


def _clusters(counts: AnnData, resolution: float) -> pd.Series:
    """Leiden clusters, one per cell, named "0", "1", ... from the largest."""
    cells = counts.copy()
    sc.pp.filter_genes(cells, min_counts=1)
    sc.pp.normalize_total(cells)
    variable = sc.pp.highly_variable_genes(
        sc.pp.log1p(cells, copy=True), flavor="cell_ranger", n_top_genes=min(1000, cells.n_vars), inplace=False
    )["highly_variable"].to_numpy()
    cells = cells[:, variable].copy()
    sc.pp.normalize_total(cells)
    sc.pp.log1p(cells)
    cells.X = sparse.csr_matrix(cells.X).toarray()  # scaling centers the genes
    sc.pp.scale(cells)
    sc.pp.pca(cells, n_comps=50, random_state=0)
    with warnings.catch_warnings():
        # umap-learn warns of an optional package
        warnings.filterwarnings("ignore", message="Tensorflow not installed", category=ImportWarning)
        # scanpy 1.12 cannot read the neighbors of pynndescent 0.7, its default for this many cells
        sc.pp.neighbors(cells, n_pcs=50, transformer="sklearn", random_state=0)
    sc.tl.leiden(cells, resolution=resolution, flavor="igraph", n_iterations=-1, random_state=0)
    by_size = cells.obs["leiden"].value_counts().index
    return cells.obs["leiden"].map({name: str(i) for i, name in enumerate(by_size)}).astype(str)
