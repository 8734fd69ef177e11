"""Files of cells: read, split, and the types of their cells."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import zarr

from activa.io.atomic import atomic_file


def read(path: Path, *, raw: bool = False) -> ad.AnnData:
    """Cells of a file or a store, or those in its ``raw``; a ValueError says that they cannot be read."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Variable names are not unique")  # which is refused where it matters
            cells = ad.read_h5ad(path) if path.suffix == ".h5ad" else ad.read_zarr(path)
    except Exception as error:  # HDF5, zarr and anndata raise errors of every kind for a broken file
        raise _unreadable(path, error) from error
    if not raw:
        return cells
    if cells.raw is None:
        raise ValueError(f"--raw: {str(path)!r} has no raw. Leave --raw out, or give --layer.")
    return cells.raw.to_adata()


def split(
    data: Path, outputs: tuple[Path, Path], labels_key: str | None, *, share: float, seed: int, overwrite: bool
) -> dict[str, Any]:
    """Write cells to train on and cells held out, and tell their numbers. Both files are complete before one appears.

    Each type of two cells or more is in both.
    """
    cells = read(data)
    if labels_key is not None and labels_key not in cells.obs:
        raise KeyError(f"labels_key={labels_key!r} is not a column of obs, which has {list(cells.obs.columns)}.")
    types: Any = pd.Series("all", cells.obs_names) if labels_key is None else cells.obs[labels_key]
    codes, names = pd.factorize(types, sort=False, use_na_sentinel=False)
    rng = np.random.default_rng(seed)
    held_out = np.zeros(cells.n_obs, dtype=bool)
    for code in range(len(names)):
        of_type = rng.permutation(np.flatnonzero(codes == code))
        n = min(max(round(share * len(of_type)), 1), len(of_type) - 1)
        held_out[of_type[:n]] = True
    if cells.n_obs < 2 or not held_out.any():
        raise ValueError(f"{str(data)!r} has no type of two cells or more, so nothing can be held out.")
    train, other = outputs
    with atomic_file(train, overwrite=overwrite, what=".h5ad output") as first:
        with atomic_file(other, overwrite=overwrite, what=".h5ad output") as second:
            cells[~held_out].copy().write_h5ad(first)
            cells[held_out].copy().write_h5ad(second)
    if single := [str(name) for code, name in enumerate(names) if (codes == code).sum() == 1]:
        warnings.warn(f"Types of one cell, which is in the training cells: {', '.join(single)}.", stacklevel=2)
    counts = {
        str(name): {
            "train": int((~held_out & (codes == code)).sum()),
            "held_out": int((held_out & (codes == code)).sum()),
        }
        for code, name in enumerate(names)
    }
    sizes = {"train": int((~held_out).sum()), "held_out": int(held_out.sum())}
    paths = {"train": str(train), "held_out": str(other)}
    return {"paths": paths, "seed": seed, "cells": sizes, "types": counts}


def types_of(path: Path, key: str) -> pd.Series:
    """Type -> number of cells in a column of ``obs``, which alone is read."""
    try:
        if path.suffix == ".h5ad":
            with h5py.File(path) as file:
                obs: Any = ad.io.read_elem(file["obs"])
        else:
            obs = ad.io.read_elem(zarr.open_group(path, mode="r")["obs"])
    except Exception as error:
        raise _unreadable(path, error) from error
    if key not in obs:
        raise KeyError(f"--labels-like={str(path)!r} has no column {key!r} in obs, which has {list(obs.columns)}.")
    if missing := int(obs[key].isna().sum()):
        raise ValueError(
            f"--labels-like={str(path)!r}: {key!r} is missing for {missing} of {len(obs)} cells: label them."
        )
    counts = obs[key].value_counts()
    return counts[counts > 0]


def _unreadable(path: Path, error: Exception) -> ValueError:
    return ValueError(f"{str(path)!r} cannot be read as {path.suffix}: {error}")
