"""Generated cells as an AnnData zarr store, written one chunk after the other."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import zarr
from anndata import AnnData
from anndata.io import sparse_dataset, write_elem

from activa.io import STORE_MARKS
from activa.io.atomic import as_path, atomic_folder


def write(
    path: str | os.PathLike[str],
    chunks: Iterator[AnnData],
    *,
    columns: Sequence[str | None],
    layer: str | None,
    overwrite: bool,
) -> None:
    """Write chunks of cells, with ``columns`` in ``obs`` and ``X`` in a layer too, into a store that appears once complete."""
    path = as_path(path)
    if slashed := [column for column in columns if column is not None and "/" in column]:
        raise ValueError(
            f"zarr cannot hold the slash in the obs columns {slashed}: give another labels_key, or register other names."
        )
    with atomic_folder(path, overwrite=overwrite, what="zarr store", marks=STORE_MARKS) as part:
        _write_chunks(zarr.open_group(part, mode="w"), chunks, layer=layer)
        with warnings.catch_warnings():
            # anndata consolidates too, and wants it: read_lazy warns if it was not done
            warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
            zarr.consolidate_metadata(part)


def _write_chunks(store: zarr.Group, chunks: Iterator[AnnData], *, layer: str | None) -> None:
    tables: list[pd.DataFrame] = []
    for chunk in chunks:
        obs: Any = chunk.obs
        var: Any = chunk.var
        if not tables:
            write_elem(store, "/", AnnData(obs=obs, var=var, uns=chunk.uns))
        _append(store, "X", chunk.X, is_first=not tables)
        if layer is not None:
            _append(store.require_group("layers"), layer, chunk.X, is_first=not tables)
        tables.append(obs)
    # all chunks have the same categories, which concat keeps
    write_elem(store, "obs", pd.concat(tables))


def _append(store: zarr.Group, key: str, x: Any, *, is_first: bool) -> None:
    if is_first:
        # 32 bits, which a small first chunk would get, count at most 2**31 values
        kwargs = {} if isinstance(x, np.ndarray) else {"indptr_dtype": np.int64}
        write_elem(store, key, x, dataset_kwargs=kwargs)
    elif isinstance(x, np.ndarray):
        array: Any = store[key]
        array.append(x, axis=0)
    else:
        group: Any = store[key]
        matrix: Any = sparse_dataset(group)
        matrix.append(x)
