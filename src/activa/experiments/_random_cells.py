"""Cells with random counts, in memory or written to a file part by part."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped]
import numpy as np
import pandas as pd
from anndata import AnnData
from anndata.io import sparse_dataset, write_elem
from scipy.sparse import csr_matrix
from tqdm.auto import tqdm

LABELS_KEY = "type"
_ROWS, _TYPES = 10_000, 10


def bytes_in_memory(n_cells: int, n_genes: int, density: float) -> float:
    """Bytes of the matrix."""
    entries = n_cells * round(density * n_genes)
    return entries * (8 if entries < np.iinfo(np.int32).max else 12) + n_cells * 8


def random_cells(n_cells: int, *, n_genes: int, density: float, library_size: float | None, seed: int) -> AnnData:
    """Cells of ten types, each with the same number of genes with values 1 to 10, at random.

    Parameters
    ----------
    n_cells, n_genes
        Shape.
    density
        Share of a cell's genes that are not zero.
    library_size
        What each cell is scaled to; None for whole counts.
    seed
        Of the values, places and types.
    """
    n_entries = n_cells * round(density * n_genes)
    index_dtype = np.int32 if n_entries < np.iinfo(np.int32).max else np.int64
    data, indices = np.empty(n_entries, np.float32), np.empty(n_entries, index_dtype)
    # one part after the other, so that twice the matrix is never held
    for start, part in _parts(n_cells, n_genes, density, library_size, seed):
        at = slice(start * round(density * n_genes), start * round(density * n_genes) + part.nnz)
        data[at], indices[at] = part.data, part.indices
    indptr = np.arange(0, n_entries + 1, round(density * n_genes), dtype=index_dtype)
    obs, var = _tables(n_cells, n_genes, seed)
    return AnnData(csr_matrix((data, indices, indptr), shape=(n_cells, n_genes)), obs=obs, var=var)


def write_random_cells(
    path: Path, n_cells: int, *, n_genes: int, density: float, library_size: float | None, seed: int
) -> Path:
    """The same cells in an h5ad file, of which 10,000 are held at a time; gives the path."""
    obs, var = _tables(n_cells, n_genes, seed)
    with h5py.File(path, "w") as file:
        # a place for everything but the matrix
        write_elem(file, "/", AnnData(obs=obs, var=var))
        for start, part in _parts(n_cells, n_genes, density, library_size, seed):
            if start == 0:
                # with 32 bits a matrix could not grow beyond 2^31 entries
                part.indptr = part.indptr.astype(np.int64)
                write_elem(file, "X", part)
            else:
                matrix: Any = sparse_dataset(file["X"])
                matrix.append(part)
    return path


def _parts(
    n_cells: int, n_genes: int, density: float, library_size: float | None, seed: int
) -> Iterator[tuple[int, csr_matrix]]:
    """First cell of each part, and its cells."""
    n_genes_of_cell = round(density * n_genes)
    for start in tqdm(range(0, n_cells, _ROWS), desc="Random cells", delay=5, leave=False):
        rng = np.random.default_rng([seed, start])
        n = min(_ROWS, n_cells - start)
        indices = np.empty((n, n_genes_of_cell), np.int32)
        for row in indices:
            row[:] = rng.choice(n_genes, n_genes_of_cell, replace=False, shuffle=False)
        indices.sort(axis=1)
        data = rng.integers(1, 11, size=indices.shape).astype(np.float32)
        if library_size is not None:
            data *= library_size / data.sum(axis=1, keepdims=True)
        indptr = np.arange(0, indices.size + 1, n_genes_of_cell)
        yield start, csr_matrix((data.ravel(), indices.ravel(), indptr), shape=(n, n_genes))


def _tables(n_cells: int, n_genes: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    types = np.random.default_rng(seed).integers(_TYPES, size=n_cells)
    names = [f"type{i}" for i in range(_TYPES)]
    obs = pd.DataFrame(
        {LABELS_KEY: pd.Categorical(np.array(names)[types], categories=names)},
        index=[f"cell{i}" for i in range(n_cells)],
    )
    return obs, pd.DataFrame(index=[f"gene{i}" for i in range(n_genes)])
