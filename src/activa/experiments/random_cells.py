"""Cells with random counts, in memory or in a file written part by part."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anndata as ad
import h5py  # type: ignore[import-untyped]
import numpy as np
import pandas as pd
from anndata import AnnData
from anndata.io import sparse_dataset, write_elem
from scipy.sparse import csr_matrix
from tqdm.auto import tqdm

LABELS_KEY = "type"
N_ROWS = 10_000
_N_TYPES = 10


def random_cells(
    n_cells: int,
    *,
    n_genes: int,
    density: float,
    library_size: float | None,
    seed: int,
    path: Path | None = None,
    n_rows: int = N_ROWS,
) -> AnnData:
    """Cells of ten types, each with whole counts from 1 to 10 in the same number of genes, at random.

    Cells are scaled to ``library_size`` unless it is None. With ``path`` they are written to that h5ad file, ``n_rows`` at a
    time, and the AnnData is backed by it. The same ``n_rows`` and seed give the same cells.
    """
    n_entries = n_cells * (n_per_cell := round(density * n_genes))
    types = pd.Categorical.from_codes(
        np.random.default_rng(seed).integers(_N_TYPES, size=n_cells), [f"type{i}" for i in range(_N_TYPES)]
    )
    obs = pd.DataFrame({LABELS_KEY: types}, index=[f"cell{i}" for i in range(n_cells)])
    var = pd.DataFrame(index=[f"gene{i}" for i in range(n_genes)])
    parts = _parts(n_cells, n_genes, n_per_cell, library_size, seed, n_rows)
    if path is None:
        # filled part by part, so that the matrix is never held twice
        index_dtype = np.int32 if n_entries < np.iinfo(np.int32).max else np.int64
        data, indices = np.empty(n_entries, np.float32), np.empty(n_entries, index_dtype)
        for start, part in parts:
            at = slice(start * n_per_cell, start * n_per_cell + part.nnz)
            data[at], indices[at] = part.data, part.indices
        indptr = np.arange(0, n_entries + 1, n_per_cell, dtype=index_dtype)
        return AnnData(csr_matrix((data, indices, indptr), shape=(n_cells, n_genes)), obs=obs, var=var)
    with h5py.File(path, "w") as file:
        write_elem(file, "/", AnnData(obs=obs, var=var))
        for start, part in parts:
            if start:
                matrix: Any = sparse_dataset(file["X"])
                matrix.append(part)
            else:
                # 32 bits would limit the matrix to 2^31 entries
                part.indptr = part.indptr.astype(np.int64)
                write_elem(file, "X", part)
    return ad.read_h5ad(path, backed="r")


def _parts(
    n_cells: int, n_genes: int, n_per_cell: int, library_size: float | None, seed: int, n_rows: int
) -> Iterator[tuple[int, csr_matrix]]:
    """First cell of each part, and its cells."""
    for start in tqdm(range(0, n_cells, n_rows), desc="Random cells", delay=5, leave=False):
        rng = np.random.default_rng([seed, start])
        indices = np.empty((min(n_rows, n_cells - start), n_per_cell), np.int32)
        for row in indices:
            row[:] = rng.choice(n_genes, n_per_cell, replace=False, shuffle=False)
        indices.sort(axis=1)
        data = rng.integers(1, 11, size=indices.shape).astype(np.float32)
        if library_size is not None:
            data *= library_size / data.sum(axis=1, keepdims=True)
        indptr = np.arange(0, indices.size + 1, n_per_cell)
        yield start, csr_matrix((data.ravel(), indices.ravel(), indptr), shape=(len(indices), n_genes))


def bytes_in_memory(n_cells: int, n_genes: int, density: float) -> float:
    """Bytes of the matrix."""
    n_entries = n_cells * round(density * n_genes)
    return n_entries * (8 if n_entries < np.iinfo(np.int32).max else 12) + n_cells * 8


def check_memory(n_cells: int, n_genes: int, density: float) -> None:
    """Raise a MemoryError if the matrix is larger than the machine's memory."""
    if not hasattr(os, "sysconf"):  # Windows
        return
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if (needed := bytes_in_memory(n_cells, n_genes, density)) > memory:
        raise MemoryError(
            f"n_cells={n_cells:,} of {n_genes:,} genes at density={density} need {needed / 1e9:.0f} GB of memory, got "
            f"{memory / 1e9:.0f} GB: give folder= to train from files, or fewer cells."
        )
