"""NeuroCOVID, cerebrospinal fluid."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from anndata import AnnData

from activa.datasets._download import fetch, reading
from activa.datasets._prepare import check_split, prepare
from activa.datasets._read import read_mtx

_SOURCE = (
    "Heming et al. (2021), Neurological Manifestations of COVID-19 Feature T Cell Exhaustion and Dedifferentiated "
    "Monocytes in Cerebrospinal Fluid, Immunity 54:164-175, doi:10.1016/j.immuni.2020.12.011; GEO GSE163005."
)
_COUNTS = ("GSE163005_matrix.mtx.gz", "GSE163005_features.tsv.gz", "GSE163005_barcodes.tsv.gz")
_ANNOTATION = {
    "cell_type": "GSE163005_annotation_cluster.csv.gz",
    "diagnosis": "GSE163005_annotation_dx.csv.gz",
    "patient": "GSE163005_annotation_patients.csv.gz",
}


def neurocovid(
    cache_dir: str | Path | None = None, *, test_fraction: float = 0.1, filtered: bool = True, seed: int | None = 0
) -> AnnData:
    """Cells of the cerebrospinal fluid of patients with COVID-19 and controls, with the types of the study.

    The files are kept, with their SHA-256 beside them, and are checked at each later call. Without a connection, put
    them into the cache folder by hand; the error names the addresses and the paths.

    Parameters
    ----------
    cache_dir
        Folder for the downloaded files. None for the environment variable ``ACTIVA_DATA_DIR`` or, without it, the
        user's cache folder (``~/.cache/activa`` on Linux).
    test_fraction
        Share of each type's cells that is kept for tests, at least 0 and below 1: the whole part of ``test_fraction``
        x n of the n cells of a type.
    filtered
        Whether to drop genes that fewer than 3 cells have and then cells that have fewer than 10 genes, as the paper
        does (:func:`activa.pp.filter_low`).
    seed
        Seed of the split; None for a fresh one.

    Returns
    -------
    AnnData
        Cells x genes, only the cells that have a type. ``X`` holds whole counts (CSR, float32); ``obs["cell_type"]``
        the types (16 in the paper), ``obs["diagnosis"]`` (COVID, IIH, MS, VE) and ``obs["patient"]`` what the study says
        of the cell; ``obs["split"]`` "train" or "test" (all categorical); ``var["gene_id"]`` Ensembl's identifiers, the
        names being symbols made unique; ``uns["source"]`` where the data come from.

    Raises
    ------
    ValueError
        If ``test_fraction`` or ``seed`` is out of range; nothing is downloaded then.
    ImportError
        If pooch is not installed.
    ConnectionError
        If a file is not in the cache and cannot be downloaded.
    RuntimeError
        If a file in the cache has changed, or cannot be read, or does not hold whole counts.

    Notes
    -----
    The patients differ by diagnosis and were sequenced apart: give ``batch_key="patient"`` to a model that is to know.

    This was written without a connection: the addresses and formats are those in public code, the sizes are not known,
    and the loader has been tested on small made files in these formats, not on the data.

    References
    ----------
    Heming et al. (2021), Immunity 54:164-175, `doi:10.1016/j.immuni.2020.12.011
    <https://doi.org/10.1016/j.immuni.2020.12.011>`_

    Examples
    --------
    >>> adata = activa.datasets.neurocovid()  # doctest: +SKIP
    >>> adata.obs["cell_type"].value_counts()  # doctest: +SKIP
    """
    seed = check_split(test_fraction, seed)
    counts = [fetch(name, cache_dir) for name in _COUNTS]
    annotation = {column: fetch(name, cache_dir) for column, name in _ANNOTATION.items()}
    with reading(*counts, *annotation.values()):
        return prepare(
            read_mtx(*counts),
            # R wrote a barcode and a value a row; the columns' headings say nothing.
            pd.DataFrame(
                {column: pd.read_csv(file, index_col=0, dtype=str).iloc[:, 0] for column, file in annotation.items()}
            ),
            filtered=filtered,
            test_fraction=test_fraction,
            seed=seed,
            source=_SOURCE,
        )
