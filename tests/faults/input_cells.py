"""AnnData in the forms that people have: cases, how one is built, and how it must end."""

from __future__ import annotations

import importlib.util
import warnings
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, get_args

import anndata as ad
import numpy as np
import pandas as pd
from hypothesis import strategies as st
from scipy import sparse

from activa.settings import COUNT_LIKELIHOODS, GeneLikelihood

HAS_LAZY = all(importlib.util.find_spec(name) for name in ("dask", "xarray"))  # with the extra annbatch
FLOATS, SIGNED = ("float16", "float32", "float64"), ("int8", "int16", "int32", "int64")
UNSIGNED = ("uint8", "uint16", "uint32", "uint64")
NO_NUMBERS = ("object", "str", "complex64")
DTYPES = (*FLOATS, *SIGNED, *UNSIGNED, "bool", *NO_NUMBERS)
DENSE = ("dense", "fortran", "read-only", "view", "view of a view", "backed dense", "zarr dense", "masked", "dask")
SPARSE = (
    "csr", "csc", "csr_array", "csc_array", "view of csr", "explicit zeros", "unsorted", "int64 indices",
    "backed csr", "backed csc", "zarr csr", "dask of csr", "lazy",
)  # fmt: skip
CONTAINERS = (*DENSE, *SPARSE)
VALUES = (
    "counts", "ones", "empty gene", "empty cell", "nothing", "sixty thousand", "a million", "beyond float32", "log-normalized",
    "a half", "negative", "nan", "inf", "negative zero",
)  # fmt: skip
LABELS = (
    "none", "strings", "objects", "categories", "ordered", "unused", "ints", "floats", "bools", "nullable ints", "slashes",
    "unicode", "empty string", "mixed", "one type", "type of one cell", "many types", "missing", "missing category",
    "unlabeled", "all unlabeled", "missing beside unlabeled",
)  # fmt: skip
BATCHES = ("none", "strings", "categories", "unused", "ints", "bools", "batch of one cell", "one batch", "missing", "labels")  # fmt: skip
COVARIATES = (
    "none", "category", "number", "both", "whole numbers", "constant", "missing", "not a number", "infinite", "twice",
)  # fmt: skip
NAMES = ("unique", "duplicate cells", "duplicate genes", "numbers")
COLUMNS = ("cell_type", "cell type/of", "origin", "labels", "_scvi_labels", "_activa_label")
PLACES = ("X", "layer", "layer without X", "layer of counts, X log-normalized")


CHOICES: dict[str, tuple[Any, ...]] = {
    "n_cells": (1, 2, 5, 24, 40), "n_genes": (1, 2, 12, 30), "container": CONTAINERS, "dtype": DTYPES, "values": VALUES,
    "place": PLACES, "labels": LABELS, "column": COLUMNS, "batch": BATCHES, "covariates": COVARIATES,
    "size_factors": ("none", "positive", "whole", "zero", "nan", "strings"), "names": NAMES,
    "gene_likelihood": get_args(GeneLikelihood),
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """An AnnData and how it is registered; the defaults are the simplest that work."""

    n_cells: int = 24
    n_genes: int = 12
    container: str = "csr"
    dtype: str = "float32"
    values: str = "counts"
    place: str = "X"
    labels: str = "categories"
    column: str = "cell_type"
    batch: str = "none"
    covariates: str = "none"
    size_factors: str = "none"
    names: str = "unique"
    gene_likelihood: str = "nb-outlier"

    def __str__(self) -> str:
        default = asdict(Case())
        return ", ".join(f"{k}={v!r}" for k, v in asdict(self).items() if v != default[k]) or "the default"


def possible(case: Case) -> bool:
    """Whether such an AnnData exists."""
    on_disk = case.container.startswith(("backed", "zarr")) or case.container == "lazy"
    dtypes = {
        **dict.fromkeys(("a half", "log-normalized", "nan", "inf", "negative zero"), (*FLOATS, "complex64")),
        "negative": (*FLOATS, *SIGNED),
        "sixty thousand": tuple({*DTYPES} - {"int8", "int16", "uint8"}),
        "a million": ("float32", "float64", "int32", "int64", "uint32", "uint64"),
        "beyond float32": ("float64", "int32", "int64", "uint32", "uint64"),
    }
    impossible = (
        (case.container.startswith("dask") or case.container == "lazy") and not HAS_LAZY,
        case.container in SPARSE and case.dtype in (*NO_NUMBERS, "float16"),  # scipy has no such matrix
        # what anndata does not write
        on_disk and case.dtype in ("object", "bool", "complex64", "str"),
        on_disk and (case.labels == "mixed" or "/" in case.column),
        case.place != "X" and case.container.startswith("backed"),  # layers of backed AnnData are in memory
        case.labels == "many types" and case.n_cells < 300,
        case.n_cells < 3 and case.labels not in ("none", "one type", "strings", "categories", "ints"),
        case.dtype not in dtypes.get(case.values, DTYPES),
        case.dtype == "bool" and case.values not in ("ones", "empty gene", "empty cell", "nothing"),
    )
    return not any(impossible)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Cases with one to four oddities, so that some of them work."""
    odd = draw(st.sets(st.sampled_from(sorted(CHOICES)), min_size=1, max_size=4), label="odd")
    case = Case(**{name: draw(st.sampled_from(CHOICES[name]), label=name) for name in sorted(odd)})
    return _made_possible(case)


def alone() -> list[Case]:
    """The default, and each oddity alone, with dense and with sparse values."""
    found = [
        _made_possible(Case(**{"container": container, name: value}))
        for name, values in CHOICES.items()
        for value in values
        for container in ("csr", "dense")
    ]
    return [case for case in dict.fromkeys(found) if possible(case)]


def _made_possible(case: Case) -> Case:
    if case.labels == "many types":
        case = replace(case, n_cells=620)
    if case.n_cells < 3 and case.labels == "categories":
        case = replace(case, labels="one type")
    return replace(case, values="ones") if case.dtype == "bool" and case.values == "counts" else case


def _values(case: Case, rng: np.random.Generator) -> np.ndarray:
    x = rng.poisson(2.0, size=(case.n_cells, case.n_genes)).astype(np.float64)
    x[:, 0] += 1  # no cell is empty
    cell, gene = case.n_cells // 2, case.n_genes // 2
    match case.values:
        case "ones":
            x = (x > 0).astype(float)
        case "empty gene":
            x[:, gene] = 0
        case "empty cell":
            x[cell] = 0
        case "nothing":
            x[:] = 0
        case "sixty thousand":
            x[cell] = 6e4
        case "a million":
            x[cell] = 1e6
        case "beyond float32":
            x[cell, gene] = 2**24 + 1
        case "log-normalized":
            x = np.log1p(x / x.sum(axis=1, keepdims=True) * 1e4)
        case "a half" | "negative" | "nan" | "inf" | "negative zero":
            x[cell, gene] = {"a half": 0.5, "negative": -1, "nan": np.nan, "inf": np.inf, "negative zero": -0.0}[
                case.values
            ]
    if case.dtype == "bool":
        x = x > 0
    if case.dtype == "object":
        return x.astype(object)
    return x.astype(case.dtype)


def _contained(case: Case, x: np.ndarray) -> Any:
    if case.container.startswith("dask"):
        import dask.array as da

        chunked = da.from_array(x, chunks=(max(case.n_cells // 2, 1), case.n_genes))
        return chunked if case.container == "dask" else chunked.map_blocks(sparse.csr_matrix, dtype=x.dtype)
    match case.container:
        case "fortran":
            return np.asfortranarray(x)
        case "read-only":
            x.flags.writeable = False
            return x
        case "masked":
            return np.ma.MaskedArray(x, mask=np.eye(*x.shape, dtype=bool))
        case "csc" | "backed csc":
            return sparse.csc_matrix(x)
        case "csr_array":
            return sparse.csr_array(x)
        case "csc_array":
            return sparse.csc_array(x)
        case "explicit zeros":
            full = np.ones(x.shape)
            matrix = sparse.csr_matrix(full).astype(x.dtype)
            matrix.data = x.ravel().copy()
            return matrix
        case "unsorted":
            matrix = sparse.csr_matrix(x)
            for a, b in zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True):
                for array in (matrix.indices, matrix.data):
                    array[a:b] = array[a:b][::-1].copy()
            matrix.has_sorted_indices = False
            return matrix
        case "int64 indices":
            matrix = sparse.csr_matrix(x)
            matrix.indices, matrix.indptr = matrix.indices.astype(np.int64), matrix.indptr.astype(np.int64)
            return matrix
    return sparse.csr_matrix(x) if case.container in SPARSE else x


def _labels(case: Case, rng: np.random.Generator) -> Any:
    n = case.n_cells
    codes = rng.permutation(np.arange(n) % 3)
    names = np.array(["B", "NK", "T"], dtype=object)[codes]
    match case.labels:
        case "strings":
            return pd.array(names, dtype="str")
        case "categories":
            return pd.Categorical(names)
        case "ordered":
            return pd.Categorical(names, categories=["T", "NK", "B"], ordered=True)
        case "unused":
            return pd.Categorical(names, categories=["B", "Mast", "NK", "T"])
        case "ints":
            return codes * 10
        case "floats":
            return codes + 0.5
        case "bools":
            return codes > 0
        case "nullable ints":
            return pd.array(codes, dtype="Int64")
        case "slashes":
            return np.array(["B/plasma", "NK.1", "T cell / CD4+ (naïve)"], dtype=object)[codes]
        case "unicode":
            return np.array(["β細胞", 'Zelle "ü"', "a\nb"], dtype=object)[codes]
        case "empty string":
            return np.array(["", " ", "T"], dtype=object)[codes]
        case "mixed":
            return np.array(["B", 1, "T"], dtype=object)[codes]
        case "one type":
            return np.array(["T"] * n, dtype=object)
        case "type of one cell":
            names[:] = "T"
            names[n // 2] = "B"
        case "many types":
            return np.array([f"type {i}" for i in rng.permutation(np.arange(n) % 300)], dtype=object)
        case "missing" | "missing beside unlabeled":
            names[0] = np.nan
            names[1:3] = "unknown"
        case "missing category":
            names[0] = None
            return pd.Categorical(names)
        case "unlabeled":
            names[codes == 1] = "unknown"
        case "all unlabeled":
            names[:] = "unknown"
    return names


def _batch(case: Case, rng: np.random.Generator) -> Any:
    codes = rng.permutation(np.arange(case.n_cells) % 2)
    names = np.array(["one", "two"], dtype=object)[codes]
    match case.batch:
        case "categories":
            return pd.Categorical(names)
        case "unused":
            return pd.Categorical(names, categories=["none", "one", "two"])
        case "ints":
            return codes
        case "bools":
            return codes > 0
        case "one batch":
            names[:] = "one"
        case "batch of one cell":
            names[:] = "one"
            names[0] = "two"
        case "missing":
            names[0] = None
    return names


def build(case: Case, folder: Path) -> ad.AnnData:
    """The AnnData, with something in every slot; files of backed data are in the folder."""
    rng = np.random.default_rng(7)
    n, g = case.n_cells, case.n_genes
    x = _contained(case, _values(case, rng))
    names = [f"cell_{i}" for i in range(n)]
    genes = [f"gene_{i}" for i in range(g)]
    if case.names == "duplicate cells":
        names[-1] = names[0]
    if case.names == "duplicate genes":
        genes[-1] = genes[0]
    if case.names == "numbers":
        names, genes = ([str(i) for i in range(k)] for k in (n, g))
    obs = pd.DataFrame({"note": np.arange(n) / 2}, index=pd.Index(names, name="barcode"))
    var = pd.DataFrame({"chromosome": pd.Categorical(["1"] * g), "long": np.arange(g) > 1}, index=genes)
    if case.labels != "none":
        obs[case.column] = _labels(case, rng)
        if case.labels == "objects":
            obs[case.column] = obs[case.column].astype(object)
    if case.batch not in ("none", "labels"):
        obs["batch"] = _batch(case, rng)
    obs["sex"] = pd.Categorical(np.array(["f", "m"])[np.arange(n) % 2])
    obs["age"] = {
        "whole numbers": np.arange(n), "constant": np.ones(n), "not a number": np.array(["old"] * n),
        "missing": np.where(np.arange(n) == 0, np.nan, 1.0), "infinite": np.where(np.arange(n) == 0, np.inf, 1.0),
    }.get(case.covariates, rng.uniform(20, 80, size=n))  # fmt: skip
    obs["depth"] = {
        "whole": np.ones(n, dtype=int), "zero": np.zeros(n), "nan": np.full(n, np.nan), "strings": np.array(["1"] * n),
    }.get(case.size_factors, rng.uniform(0.5, 2, size=n))  # fmt: skip
    other = {
        "X": None, "layer": np.zeros((n, g), dtype=np.float32), "layer without X": None,
        "layer of counts, X log-normalized": rng.uniform(size=(n, g)).astype(np.float32),
    }[case.place]  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # names that are not unique
        adata = ad.AnnData(
            x if case.place == "X" else other,
            obs=obs,
            var=var,
            layers=None if case.place == "X" else {"counts": x},
            obsm={"X_pca": rng.normal(size=(n, 2))},
            varm={"PCs": rng.normal(size=(g, 2))},
            obsp={"distances": sparse.csr_matrix(np.eye(n))},
            uns={"log": {"of": ["a", "b"]}, "colors": np.array(["red", "blue"])},
        )
        adata.raw = ad.AnnData(np.ones((n, g), dtype=np.float32), var=pd.DataFrame(index=var.index.copy()))
        return _stored(case, adata, folder)


def _stored(case: Case, adata: ad.AnnData, folder: Path) -> ad.AnnData:
    kind = case.container
    if kind.startswith("view"):
        view = adata[: adata.n_obs]
        return view[np.arange(adata.n_obs)][:, np.arange(adata.n_vars)] if kind == "view of a view" else view
    if kind.startswith("backed"):
        adata.write_h5ad(folder / "cells.h5ad")
        return ad.read_h5ad(folder / "cells.h5ad", backed="r")
    if kind.startswith("zarr"):
        adata.write_zarr(folder / "cells.zarr")
        return ad.read_zarr(folder / "cells.zarr")
    if kind == "lazy":
        adata.write_zarr(folder / "cells.zarr")
        return ad.experimental.read_lazy(folder / "cells.zarr")
    return adata


def setup_of(case: Case) -> dict[str, Any]:
    """Arguments of ``setup_anndata``."""
    setup: dict[str, Any] = {}
    if case.place != "X":
        setup["layer"] = "counts"
    if case.labels != "none":
        setup["labels_key"] = case.column
    if "unlabeled" in case.labels:
        setup["unlabeled_category"] = "unknown"
    if case.batch != "none":
        setup["batch_key"] = case.column if case.batch == "labels" and case.labels != "none" else "batch"
    if case.covariates != "none":
        if case.covariates != "number":
            setup["categorical_covariate_keys"] = ["sex", "sex"] if case.covariates == "twice" else ["sex"]
        if case.covariates != "category":
            setup["continuous_covariate_keys"] = ["age"]
    if case.size_factors != "none":
        setup["size_factor_key"] = "depth"
    return setup


def expected(case: Case) -> tuple[type[Exception], str] | None:
    """None if a case works; else the error that is due and what its message must name.

    Checks come in the order in which users learn of them: the object, its columns, its values.
    """
    where = "adata.X" if case.place == "X" else "adata.layers['counts']"
    if case.container == "lazy":
        return ValueError, "adata"
    if case.dtype in NO_NUMBERS:
        return TypeError, where
    if case.container in ("dask of csr", "masked"):
        return ValueError, where
    if "view" in case.container:
        return ValueError, "adata"
    return _expected_of_columns(case) or _expected_of_values(case, where)


def _expected_of_columns(case: Case) -> tuple[type[Exception], str] | None:
    if case.labels != "none" and (
        case.column.startswith("_")
        or "/" in case.column
        or "missing" in case.labels
        or (case.labels == "mixed" and case.n_cells > 1)
    ):
        return ValueError, "labels_key"
    if case.batch == "missing":
        return ValueError, "batch_key"
    if case.batch == "labels" and case.labels == "none":
        return KeyError, "batch_key"
    if case.size_factors in ("nan", "strings"):
        return ValueError, "size_factor_key"
    if case.covariates == "twice":
        return ValueError, "categorical_covariate_keys"
    if case.covariates in ("missing", "not a number", "infinite"):
        return ValueError, "continuous_covariate_keys"
    if case.batch == "labels":
        return ValueError, "labels_key and batch_key"
    if case.size_factors == "zero":
        return ValueError, "size_factor_key"
    if case.labels == "all unlabeled":
        return ValueError, "labels_key"
    return (ValueError, "adata.var_names") if case.names == "duplicate genes" else None


def _expected_of_values(case: Case, where: str) -> tuple[type[Exception], str] | None:
    fractions = case.values in ("a half", "log-normalized") and case.gene_likelihood in COUNT_LIKELIHOODS
    empty = case.values in ("empty cell", "nothing")
    if case.n_genes == 1:
        empty |= case.values in ("empty gene", "negative zero")
    wrong = case.values in ("nan", "inf", "negative") or fractions or empty
    return (ValueError, where) if wrong else None
