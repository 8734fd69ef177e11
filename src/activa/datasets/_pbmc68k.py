"""68K PBMC, the largest of the paper's two 10x datasets."""

from __future__ import annotations

import tarfile
from pathlib import Path, PurePosixPath
from typing import IO

import pandas as pd
from anndata import AnnData

from activa.datasets._download import fetch, reading
from activa.datasets._prepare import check_split, prepare
from activa.datasets._read import read_mtx

_SOURCE = (
    "Zheng et al. (2017), Massively parallel digital transcriptional profiling of single cells, "
    "Nature Communications 8:14049, doi:10.1038/ncomms14049; 10x Genomics, Fresh 68K PBMCs (Donor A), Cell Ranger 1.1.0, "
    "and the cell types of github.com/10XGenomics/single-cell-3prime-paper."
)


def pbmc68k(
    cache_dir: str | Path | None = None, *, test_fraction: float = 0.1, filtered: bool = True, seed: int | None = 0
) -> AnnData:
    """The 68,579 peripheral blood cells of one donor, with the types of the study.

    The files are kept, with their SHA-256 beside them, and are checked at each later call. Without a connection, put
    them into the cache folder by hand; the error names the addresses and the paths.

    Parameters
    ----------
    cache_dir
        Folder for the downloaded files. None for the environment variable ``ACTIVA_DATA_DIR`` or, without it, the
        user's cache folder (``~/.cache/activa`` on Linux).
    test_fraction
        Share of each type's cells that is kept for tests, at least 0 and below 1: the whole part of ``test_fraction``
        x n of the n cells of a type. The paper holds out 6,991 cells, which 7,000 / 68,579 comes nearest to.
    filtered
        Whether to drop genes that fewer than 3 cells have and then cells that have fewer than 10 genes, as the paper
        does (:func:`activa.pp.filter_low`).
    seed
        Seed of the split; None for a fresh one.

    Returns
    -------
    AnnData
        68,579 cells x 17,789 genes if the filters leave what they left in the paper, and x 32,738 genes without them.
        ``X`` holds whole counts (CSR, float32); ``obs["cell_type"]`` the 11 types (categorical); ``obs["split"]``
        "train" or "test" (categorical); ``var["gene_id"]`` Ensembl's identifiers, the names being symbols made unique;
        ``uns["source"]`` where the data come from.

    Raises
    ------
    ValueError
        If ``test_fraction`` or ``seed`` is out of range; nothing is downloaded then.
    ImportError
        If pooch is not installed.
    ConnectionError
        If a file is not in the cache and cannot be downloaded.
    RuntimeError
        If a file in the cache has changed, or cannot be read.

    Notes
    -----
    The types are those that the study gave the cells, by their correlation with purified ones. The paper has 10
    classes, clusters of scGAN's preprocessing to all appearance (Louvain, resolution 0.15), so its figures for each class
    cannot be compared type by type.

    This was written without a connection: the addresses, formats and sizes are those in public code and in the papers,
    and the loader has been tested on small made files in these formats, not on the data.

    References
    ----------
    Zheng et al. (2017), Nature Communications 8:14049, `doi:10.1038/ncomms14049
    <https://doi.org/10.1038/ncomms14049>`_

    Examples
    --------
    >>> adata = activa.datasets.pbmc68k(test_fraction=7_000 / 68_579)  # doctest: +SKIP
    >>> train = adata[adata.obs["split"] == "train"].copy()  # doctest: +SKIP
    """
    seed = check_split(test_fraction, seed)
    archive = fetch("fresh_68k_pbmc_donor_a_filtered_gene_bc_matrices.tar.gz", cache_dir)
    types = fetch("68k_pbmc_barcodes_annotation.tsv", cache_dir)
    with reading(archive, types):
        return prepare(
            _read_archive(archive),
            pd.read_csv(types, sep="\t", dtype=str).set_index("barcodes")[["celltype"]].set_axis(["cell_type"], axis=1),
            filtered=filtered,
            test_fraction=test_fraction,
            seed=seed,
            source=_SOURCE,
        )


def _read_archive(path: Path) -> AnnData:
    """The three files may lie in any folder of the archive; 10x's is filtered_matrices_mex/hg19."""
    with tarfile.open(path, "r:gz") as archive:
        members = {PurePosixPath(member.name).name: member for member in archive if member.isfile()}

        def opened(name: str) -> IO[bytes]:
            file = archive.extractfile(members[name])
            assert file is not None  # only folders and the like are
            return file

        return read_mtx(opened("matrix.mtx"), opened("genes.tsv"), opened("barcodes.tsv"))
