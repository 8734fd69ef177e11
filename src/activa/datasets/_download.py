"""Files from the internet: fetched once, kept, and checked by their SHA-256 ever after."""

from __future__ import annotations

import os
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from activa.optional import import_optional

_10X = "https://cf.10xgenomics.com/samples/cell-exp"
_GEO = "https://ftp.ncbi.nlm.nih.gov/geo/series/GSE163nnn/GSE163005/suppl"
_FILES = {
    "fresh_68k_pbmc_donor_a_filtered_gene_bc_matrices.tar.gz": (
        f"{_10X}/1.1.0/fresh_68k_pbmc_donor_a/fresh_68k_pbmc_donor_a_filtered_gene_bc_matrices.tar.gz"
    ),
    "68k_pbmc_barcodes_annotation.tsv": (
        "https://raw.githubusercontent.com/10XGenomics/single-cell-3prime-paper/master/pbmc68k_analysis/"
        "68k_pbmc_barcodes_annotation.tsv"
    ),
    "1M_neurons_neuron20k.h5": f"{_10X}/1.3.0/1M_neurons/1M_neurons_neuron20k.h5",
    "GSE163005_matrix.mtx.gz": f"{_GEO}/GSE163005_matrix.mtx.gz",
    "GSE163005_features.tsv.gz": f"{_GEO}/GSE163005_features.tsv.gz",
    "GSE163005_barcodes.tsv.gz": f"{_GEO}/GSE163005_barcodes.tsv.gz",
    "GSE163005_annotation_cluster.csv.gz": f"{_GEO}/GSE163005_annotation_cluster.csv.gz",
    "GSE163005_annotation_dx.csv.gz": f"{_GEO}/GSE163005_annotation_dx.csv.gz",
    "GSE163005_annotation_patients.csv.gz": f"{_GEO}/GSE163005_annotation_patients.csv.gz",
}

# 10x turns Python's default names away. The bytes must come as they are stored, or their number could not be checked.
_HEADERS = {"User-Agent": "activa", "Accept-Encoding": "identity"}


def fetch(name: str, cache_dir: str | Path | None = None) -> Path:
    """A file of the table, downloaded unless it is in the cache already.

    The SHA-256 is written beside the file, as ``<name>.sha256``, when the file is first met, and compared from then on,
    also after a later download. A file that was put into the cache by hand is as good as a downloaded one.

    Parameters
    ----------
    name
        A name in the table.
    cache_dir
        Folder to keep it in; None for the environment's ``ACTIVA_DATA_DIR``, or else the user's cache folder.

    Returns
    -------
    Where the file is.

    Raises
    ------
    ImportError
        If pooch is not installed.
    ConnectionError
        If it is not in the cache and cannot be downloaded; nothing is left of what came.
    RuntimeError
        If its SHA-256 is not the one written down.
    """
    pooch = import_optional("pooch", "downloading data", "data")
    folder = Path(cache_dir or os.environ.get("ACTIVA_DATA_DIR") or pooch.os_cache("activa")).expanduser().absolute()
    folder.mkdir(parents=True, exist_ok=True)
    path, record = folder / name, _record(folder / name)
    if not path.exists():
        _download(pooch, _FILES[name], path)
    found = pooch.file_hash(str(path))
    if not record.exists():
        record.write_text(f"{found}  {name}\n", encoding="utf-8")
    elif record.read_text(encoding="utf-8").split()[:1] != [found]:
        raise RuntimeError(
            f"{path} has changed since it was first fetched: its SHA-256 is {found}, which {record} does not say. "
            "Delete both files and call again to download it anew."
        )
    return path


@contextmanager
def reading(*paths: Path) -> Iterator[None]:
    """Say what to do about fetched files that turn out not to be what they should.

    Raises
    ------
    RuntimeError
        In place of the errors that damaged files, or other ones, lead to.
    """
    try:
        yield
    except (EOFError, KeyError, OSError, ValueError, tarfile.TarError, zlib.error) as error:
        to_delete = ", ".join(str(file) for path in paths for file in (path, _record(path)))
        raise RuntimeError(
            f"The downloaded data cannot be read ({type(error).__name__}: {error}): a file is damaged, or is not the one "
            f"expected. Delete {to_delete} and call again to download them anew."
        ) from error


def _record(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _download(pooch: ModuleType, url: str, path: Path) -> None:
    """Pooch writes to a temporary file beside ``path`` and moves it there when it is whole."""
    try:
        pooch.retrieve(
            url,
            known_hash=None,
            fname=path.name,
            path=path.parent,
            downloader=pooch.HTTPDownloader(progressbar=True, chunk_size=2**16, headers=_HEADERS),
        )
    except OSError as error:  # those of requests are too
        raise ConnectionError(
            f"{url} could not be downloaded ({error}). If this machine has no connection to it, get the file on another "
            f"one, put it at {path} and call again."
        ) from error
