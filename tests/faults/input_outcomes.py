"""How a call ends: whether it works, is refused by an error of the package, or neither; and whether it changes its cells."""

from __future__ import annotations

import hashlib
import pickle
import traceback
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

import activa

SCVI_UNS = {"_scvi_uuid", "_scvi_manager_uuid"}
SCVI_OBS = {"_scvi_labels", "_scvi_batch"}
SCVI_OBSM = {"_scvi_extra_categorical_covs", "_scvi_extra_continuous_covs"}
"""What scvi-tools adds to registered cells."""

INTENDED = (
    "has fewer than 3 cells",  # scvi-tools', about small types and batches
    "names are not unique",  # anndata's, about the user's names
    "Training will be faster when sparse matrix is formatted as CSR",  # scvi-tools'
    "splits the cell types",  # the made cells have a batch that most runs do not register
)
"""Warnings that are meant for the user."""

PACKAGE = Path(activa.__file__).parent


def snapshot(adata: ad.AnnData) -> dict[str, Any]:
    """Everything in the object, down to the bytes, except what scvi-tools adds."""
    parts: dict[str, Any] = {"X": _array(adata.X), "raw": None if adata.raw is None else _array(adata.raw.X)}
    for name in ("layers", "obsm", "varm", "obsp", "varp"):
        parts |= {f"{name}/{k}": _array(v) for k, v in getattr(adata, name).items() if k not in SCVI_OBSM}
    for name in ("obs", "var"):
        table: Any = getattr(adata, name)
        table = table if isinstance(table, pd.DataFrame) else table.ds.to_dataframe()
        table = table[[c for c in table.columns if c not in SCVI_OBS or name == "var"]]
        parts[name] = [
            list(table.columns),
            table.index.name,
            [str(t) for t in table.dtypes],
            pickle.dumps(table.to_dict()),
        ]
        parts[f"{name} categories"] = {c: list(table[c].cat.categories) for c in table.select_dtypes("category")}
    parts["uns"] = pickle.dumps({k: adata.uns[k] for k in adata.uns if k not in SCVI_UNS})
    parts["is"] = (adata.is_view, adata.isbacked, adata.shape)
    return parts


def _array(x: Any) -> Any:
    if x is None:
        return None
    if isinstance(x, pd.DataFrame):
        return pickle.dumps(x)
    if sparse.issparse(x):
        return (type(x).__name__, *(_array(a) for a in (x.data, x.indices, x.indptr)))
    if isinstance(x, np.ndarray):
        order = (x.flags.c_contiguous, x.flags.f_contiguous, x.flags.writeable)
        mask = _array(x.mask) if isinstance(x, np.ma.MaskedArray) else None
        data = pickle.dumps(x) if x.dtype == object else np.ascontiguousarray(x).tobytes()
        return type(x).__name__, str(x.dtype), x.shape, order, hashlib.sha256(data).hexdigest(), mask
    if hasattr(x, "compute"):
        return type(x).__name__, _array(x.compute())
    values = x.to_memory() if hasattr(x, "to_memory") else x[:]
    return type(x).__name__, _array(values)


def changes(before: dict[str, Any], adata: ad.AnnData) -> list[str]:
    """Names of the parts that have changed since the snapshot."""
    now = snapshot(adata)
    return sorted(k for k in before.keys() | now.keys() if before.get(k) != now.get(k))


def outcome(call: Callable[[], Any], allowed: Sequence[str] = INTENDED) -> tuple[str, str]:
    """``"works"``, the type of the package's own error, or ``"lost"``; and the message.

    A call is lost if its error is not one that the package raises by a statement, or if it warns of what is not intended.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.filterwarnings(
            "ignore", message="The '(future.infer_string|mode.chained_assignment)' option is deprecated"
        )
        try:
            call()
        except Exception as error:  # noqa: BLE001  unforeseen errors are what the tests look for
            last = traceback.extract_tb(error.__traceback__)[-1]
            message = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
            if Path(last.filename).is_relative_to(PACKAGE) and (last.line or "").startswith("raise "):
                return type(error).__name__, message
            return "lost", f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}: {message}"
    odd = [str(w.message) for w in caught if not any(text in str(w.message) for text in allowed)]
    return ("lost", f"warns: {odd[0]}") if odd else ("works", "")
