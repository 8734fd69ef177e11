"""Files of the paper's datasets: downloaded once by pooch, checked, read in 10x's formats, filtered, labeled and split."""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from anndata.utils import make_index_unique
from scipy import sparse
from scipy.io import mmread

from activa.optional import import_optional
from activa.pp import filter_low
from activa.seeds import check_seed

_PBMC68K = "https://cf.10xgenomics.com/samples/cell-exp/1.1.0/fresh_68k_pbmc_donor_a"
_TYPES = "https://raw.githubusercontent.com/10XGenomics/single-cell-3prime-paper/master/pbmc68k_analysis"
_BRAIN = "https://cf.10xgenomics.com/samples/cell-exp/1.3.0/1M_neurons"
_GEO = "https://ftp.ncbi.nlm.nih.gov/geo/series/GSE163nnn/GSE163005/suppl"

# Folder and checksum (SHA-256 or MD5) of each file. The checksums come from public records: others' pinned downloads of
# 68K PBMC, Bioconductor's TENxBrainData for Brain Small. No record of GEO's files was found, so they are not checked.
FILES: dict[str, tuple[str, str | None]] = {
    "fresh_68k_pbmc_donor_a_filtered_gene_bc_matrices.tar.gz": (
        _PBMC68K,
        "3f35f37ff344bc9b32f97cd003ac986ebb9b5d7f31006c53dff4cb38da267931",
    ),
    "68k_pbmc_barcodes_annotation.tsv": (_TYPES, "98dc85c047b56cb209ece200b7bebeb2ad53634ff3d5f42143987f59510624b3"),
    "1M_neurons_neuron20k.h5": (_BRAIN, "md5:7696db0199a30a36f857e86a1ad1da8d"),
    "GSE163005_matrix.mtx.gz": (_GEO, None),
    "GSE163005_features.tsv.gz": (_GEO, None),
    "GSE163005_barcodes.tsv.gz": (_GEO, None),
    "GSE163005_annotation_cluster.csv.gz": (_GEO, None),
    "GSE163005_annotation_dx.csv.gz": (_GEO, None),
    "GSE163005_annotation_patients.csv.gz": (_GEO, None),
}

# 10x's server rejects Python's default user agent. GEO's server must not unpack the gzipped files.
_HEADERS = {"User-Agent": "activa", "Accept-Encoding": "identity"}


def fetch(name: str, cache_dir: str | Path | None = None) -> Path:
    """Path of a file of ``FILES``, downloaded unless the cache folder has it with the right checksum."""
    pooch = import_optional("pooch", "downloading data", "data")
    folder, _ = FILES[name]
    cache = pooch.create(
        path=cache_dir or pooch.os_cache("activa"),
        base_url=f"{folder}/",
        registry={file: checksum for file, (_, checksum) in FILES.items()},
        env=None if cache_dir else "ACTIVA_DATA_DIR",
    )
    cache.abspath.mkdir(parents=True, exist_ok=True)
    path, url = cache.abspath / name, cache.get_url(name)
    try:
        cache.fetch(name, downloader=pooch.HTTPDownloader(progressbar=True, chunk_size=2**16, headers=_HEADERS))
    except OSError as error:  # includes the errors of requests
        found = f"The file at {path} does not match its checksum, and " if path.exists() else ""
        raise ConnectionError(
            f"{found}{url} could not be downloaded ({error}): download it elsewhere, put it at {path} and call again."
        ) from error
    except ValueError as error:  # pooch's error for a wrong checksum
        raise RuntimeError(
            f"The file at {url} does not match its checksum ({error}). Call again; if the error stays, please report it."
        ) from error
    return path


@contextmanager
def reading(*paths: Path) -> Iterator[None]:
    """Turn the errors of damaged or unexpected files into one RuntimeError that names the files to delete."""
    try:
        yield
    except (EOFError, KeyError, OSError, ValueError, tarfile.TarError, zlib.error) as error:
        raise RuntimeError(
            f"The downloaded data cannot be read ({type(error).__name__}: {error}). Delete {', '.join(map(str, paths))} "
            "and call again to download them again."
        ) from error


def check_split(test_fraction: float, seed: int | None) -> int:
    """Check the arguments of :func:`split`; return the seed, or a fresh one for None."""
    if not 0 <= test_fraction < 1:
        raise ValueError(f"test_fraction must be at least 0 and below 1, got {test_fraction}.")
    return check_seed(seed)


def read_mtx(matrix: Any, genes: Any, cells: Any) -> AnnData:
    """Counts of a genes x cells Matrix Market file, and lists of genes and cells (paths or open files)."""
    features, barcodes = [
        pd.read_csv(file, sep="\t", header=None, dtype=str, na_filter=False) for file in (genes, cells)
    ]
    counts = mmread(matrix, spmatrix=True)
    if counts.shape != (len(features), len(barcodes)):
        raise ValueError(f"a matrix of {counts.shape} does not fit {len(features)} genes x {len(barcodes)} cells")
    return to_adata(counts.T, cells=barcodes[0], symbols=features[1], gene_ids=features[0])


def to_adata(counts: Any, *, cells: pd.Series, symbols: pd.Series, gene_ids: pd.Series) -> AnnData:
    """Cells x genes, float32 CSR; the names are the symbols, made unique, and ``var["gene_id"]`` the identifiers."""
    counts = sparse.csr_matrix(counts, dtype=np.float32)
    counts.eliminate_zeros()
    counts.sort_indices()
    if (counts.data < 0).any() or (counts.data % 1 != 0).any():
        raise ValueError("the values are not whole counts")
    return AnnData(
        counts,
        obs=pd.DataFrame(index=pd.Index(cells, name=None)),
        var=pd.DataFrame({"gene_id": np.asarray(gene_ids)}, index=make_index_unique(pd.Index(symbols, name=None))),
    )


def prepare(
    adata: AnnData, annotation: pd.DataFrame, source: str, filtered: bool, test_fraction: float, seed: int
) -> AnnData:
    """Keep the cells with a type, filter, and add the annotation (one row per cell) and the split to ``obs``."""
    annotation = annotation.dropna(subset=["cell_type"])
    annotated = np.asarray(adata.obs_names.isin(annotation.index))
    if not annotated.any():
        raise ValueError("the annotation names no cell of the counts")
    if not annotated.all():
        adata = adata[annotated].copy()
    if filtered:
        filter_low(adata)
    for name, column in annotation.reindex(adata.obs_names).items():
        adata.obs[name] = pd.Categorical(column)
    adata.obs["split"] = split(np.asarray(adata.obs["cell_type"], dtype=str), test_fraction, seed)
    adata.uns["source"] = source
    return adata


def split(cell_types: np.ndarray, test_fraction: float, seed: int) -> pd.Categorical[str]:
    """Either "train" or "test" per cell: of the n cells of a type, the integer part of n x ``test_fraction`` is "test"."""
    rng = np.random.default_rng(seed)
    test = np.zeros(len(cell_types), dtype=bool)
    for cell_type in np.unique(cell_types):
        cells = np.flatnonzero(cell_types == cell_type)
        # 0.29 x 100 is 28.999999999999996
        test[rng.choice(cells, size=int(len(cells) * test_fraction + 1e-9), replace=False)] = True
    return pd.Categorical(np.where(test, "test", "train"), categories=["train", "test"])
