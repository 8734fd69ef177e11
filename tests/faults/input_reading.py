"""Calls of every method that reads cells, with cells, indices and arguments that it must refuse, and the error that is due."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from faults.input_arguments import INF, NAN, Bad, other_cells, whole
from tests_helpers import make_counts

READERS: dict[str, dict[str, Any]] = {
    "get_latent_representation": {},
    "get_normalized_expression": {},
    "get_likelihood_parameters": {},
    "get_elbo": {},
    "get_reconstruction_error": {},
    "get_marginal_ll": {"n_mc_samples": 2, "n_mc_samples_per_pass": 2},
    "posterior_predictive_sample": {},
    "differential_expression": {"groupby": "cell_type", "group1": "B", "silent": True},
    "get_feature_correlation_matrix": {"n_samples": 2},
    "get_latent_library_size": {"give_mean": False},
    "get_aggregated_posterior": {},
    "differential_abundance": {"sample_key": "batch", "num_cells_posterior": 5},
}
"""Method -> right arguments that it needs."""
WITHOUT_INDICES = ("differential_expression", "get_aggregated_posterior", "differential_abundance")


def cells() -> ad.AnnData:
    return make_counts(40, seed=3)


def with_value(value: float) -> Callable[[], ad.AnnData]:
    """Cells that have this value in the middle."""

    def make() -> ad.AnnData:
        adata = cells()
        adata.X.data[adata.X.nnz // 2] = value
        return adata

    make.__name__ = f"with_{value}"
    return make


def logs() -> ad.AnnData:
    adata = cells()
    adata.X.data = np.log1p(adata.X.data)
    return adata


def an_empty_cell() -> ad.AnnData:
    adata = cells()
    adata.X.data[adata.X.indptr[3] : adata.X.indptr[4]] = 0
    return adata


def other_order() -> ad.AnnData:
    return cells()[:, ::-1].copy()


def fewer_genes() -> ad.AnnData:
    return cells()[:, :5].copy()


def other_genes() -> ad.AnnData:
    adata = cells()
    adata.var_names = [f"other_{name}" for name in adata.var_names]
    return adata


def no_cells() -> ad.AnnData:
    return cells()[:0].copy()


def no_values() -> ad.AnnData:
    adata = cells()
    del adata.X
    return adata


def words() -> ad.AnnData:
    adata = cells()
    return ad.AnnData(adata.X.toarray().astype("U"), obs=adata.obs, var=adata.var)


def no_age() -> ad.AnnData:
    adata = cells()
    adata.obs.iloc[3, adata.obs.columns.get_loc("age")] = np.nan
    return adata


CELLS: list[Bad] = [
    *other_cells(), (words, TypeError),
    *((make, ValueError) for make in (
        logs, with_value(NAN), with_value(INF), with_value(-5.0), with_value(0.5), an_empty_cell, other_order, fewer_genes,
        other_genes, no_cells, no_values, no_age,
    )),
]  # fmt: skip
INDICES: list[Bad] = [
    ([], ValueError), ([10**6], ValueError), ([-(10**6)], ValueError), ([0.5], TypeError), (["cell_1"], TypeError),
    (3, TypeError), ("a", TypeError), ([[0, 1]], ValueError), ([True, False], ValueError), ([None], TypeError),
]  # fmt: skip
GENES: list[Bad] = [
    (["NOPE"], KeyError), (["gene_1", "NOPE"], KeyError), ("gene_1", TypeError), ([], ValueError), (3, TypeError),
    ([3], KeyError),
]  # fmt: skip
SAMPLES: list[Bad] = [(value, error) for value, error in whole() if value is not None]

ARGUMENTS: dict[str, dict[str, list[Bad]]] = {
    "get_normalized_expression": {
        "gene_list": GENES,
        "library_size": [(v, ValueError) for v in (0, -1, NAN, INF)] + [(v, TypeError) for v in ("big", None, True, [1.0])],
        "n_samples": SAMPLES,
        "n_samples_overall": SAMPLES,
        "weights": [("nope", ValueError), ("importance", ValueError)],
        "transform_batch": [([], ValueError)],
        "librarysize": [(1e4, TypeError)],
        "batch_size": SAMPLES,
    },
    "posterior_predictive_sample": {"gene_list": GENES, "n_samples": SAMPLES, "transform_batch": [([], ValueError)]},
    "get_feature_correlation_matrix": {"n_samples": SAMPLES, "transform_batch": [([], ValueError)]},
    "get_likelihood_parameters": {"n_samples": SAMPLES, "batch_size": SAMPLES},
    "get_latent_representation": {"batch_size": SAMPLES},
    "get_elbo": {"batch_size": SAMPLES},
    "differential_expression": {
        "group1": [("Mast", ValueError), (["B", "Mast"], ValueError)],
        "group2": [("Mast", ValueError)],
        "groupby": [("nope", KeyError), (None, ValueError)],
    },
}  # fmt: skip
"""Method -> argument -> wrong values."""


def reading_calls() -> list[tuple[str, str, Any, type[Exception]]]:
    """Method, argument, wrong value (or what makes it) and the error that is due."""
    found = []
    for method in READERS:
        found += [(method, "adata", value, error) for value, error in CELLS]
        if method not in WITHOUT_INDICES:
            found += [(method, "indices", value, error) for value, error in INDICES]
        for argument, values in ARGUMENTS.get(method, {}).items():
            found += [(method, argument, value, error) for value, error in values]
    return found


QUERY: dict[str, list[Bad]] = {
    "unfrozen": [("x", TypeError), (1, TypeError), (None, TypeError)],
    "freeze_dropout": [("x", TypeError), (1, TypeError), (None, TypeError)],
    "freeze_expression": [("x", TypeError), (None, TypeError), (False, ValueError)],
    "transfer_batch": [("x", TypeError), (None, TypeError)],
    "datamodule": [("x", ValueError), ({}, ValueError)],
    "registry": [("x", ValueError), ({}, ValueError)],
    "adata": [
        (pd.DataFrame({"a": [1]}), TypeError),
        (no_cells, ValueError),
        (other_genes, ValueError),
        (logs, ValueError),
    ],
}
"""Arguments of load_query_data."""
