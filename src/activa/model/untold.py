"""Columns of obs that split the cell types and that the model was not told of: batches, donors, protocols."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.sparse import csr_matrix
from scvi import REGISTRY_KEYS
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import mutual_info_score, roc_auc_score
from sklearn.utils.extmath import randomized_svd
from sklearn.utils.sparsefuncs import mean_variance_axis

from activa.data import folds, log_normalize
from activa.model.registry import label_names

_LEAST_AUC = 0.75
_MAX_VALUES, _MIN_CELLS = 50, 10
# A clustering of the cells knows more than half of what their types say (0.58 to 1 on six data sets), a batch little (0.2)
_MOST_SHARED = 0.4
_MAX_GROUPS, _MAX_COMPARED, _MAX_CELLS, _LEAST_DRAWN = 25, 5, 1_500, 15
_N_GENES, _N_COMPONENTS, _N_FOLDS = 2_000, 20, 3
# scanpy's names for states of a cell, which are no batches though they occur in all types
_STATES = frozenset({"phase", "predicted_doublet"})


@dataclass(frozen=True)
class Found:
    """A column that splits the cell types."""

    column: str
    auc: float  # of its values within a type, one against the others; 0.5 by chance
    n_values: int
    n_types: int  # types with at least two values of ten cells or more


def untold_columns(
    x: Any, types: np.ndarray, obs: pd.DataFrame, *, told: Collection[str], exclude: Collection[str], seed: int
) -> list[Found]:
    """Columns whose values are recognized within the types, and within what was told, the clearest first.

    A column is judged if at least two types, with half of the cells, have ten cells of two of its values each, and if it
    says little of the type: finer and coarser types, and clusterings, do not qualify. Its values are recognized by linear
    discriminants of 20 principal components of about 1,500 cells, free of the means of types and of what the cells' totals
    explain, in cross-validation.

    ``x`` holds non-negative values, cells x genes; ``types`` codes, -1 for cells without a type; ``told`` and ``exclude``
    name columns that the model is told of, and further ones not to judge. The seed draws cells, components and folds; no
    global random state is used.
    """
    known = [codes for name in told if (codes := _codes(obs[name])) is not None]
    groups = types
    for codes in known:
        groups = pd.factorize((groups + 1) * (_MAX_VALUES + 1) + codes + 1)[0]
    found, seen = [], {codes.tobytes() for codes in known}
    for name, column in obs.items():
        if name in told or name in exclude or name in _STATES or str(name).startswith("_scvi"):
            continue
        codes = _codes(column)
        # the same values under other names, such as those of an ontology, are judged once
        if codes is None or codes.tobytes() in seen:
            continue
        seen.add(codes.tobytes())
        cells = np.flatnonzero((types >= 0) & (codes >= 0))
        judged = _judged_groups(groups[cells], codes[cells])
        of_type = types[cells][np.isin(groups[cells], list(judged))]
        n_types = len(np.unique(of_type))
        if n_types < 2 or len(of_type) < len(cells) / 2 or _shared(types[cells], codes[cells]) > _MOST_SHARED:
            continue
        auc = _recognized(x, cells, groups[cells], codes[cells], judged, seed)
        if auc >= _LEAST_AUC:
            found.append(Found(str(name), auc, len(np.unique(codes[codes >= 0])), n_types))
    return sorted(found, key=lambda f: -f.auc)


def _codes(column: pd.Series) -> np.ndarray | None:
    """Codes of the values of a column, -1 where there is none; None unless there are 2 to 50, and no real numbers."""
    if column.dtype == object:
        column = column.astype("string")
    if pd.api.types.is_float_dtype(column) or pd.api.types.is_complex_dtype(column):
        return None
    codes, values = pd.factorize(column)
    return codes if 2 <= len(values) <= _MAX_VALUES else None


def _judged_groups(groups: np.ndarray, codes: np.ndarray) -> dict[int, np.ndarray]:
    """The groups that have two values of ten cells or more, the largest first, and their (at most five) commonest values."""
    table = np.zeros((groups.max(initial=0) + 1, codes.max(initial=0) + 1), dtype=int)
    np.add.at(table, (groups, codes), 1)
    largest = np.argsort(-table.sum(axis=1), kind="stable")
    return {
        int(group): np.argsort(-table[group], kind="stable")[: min(n_values, _MAX_COMPARED)]
        for group in largest
        if (n_values := int((table[group] >= _MIN_CELLS).sum())) > 1
    }


def _shared(types: np.ndarray, codes: np.ndarray) -> float:
    """Mutual information of types and values, as a share of the smaller of their entropies."""
    least = min(mutual_info_score(types, types), mutual_info_score(codes, codes))
    return mutual_info_score(types, codes) / least


def _recognized(
    x: Any, cells: np.ndarray, groups: np.ndarray, codes: np.ndarray, judged: dict[int, np.ndarray], seed: int
) -> float:
    """Mean area under the curve within the largest groups, weighted by their cells, values one against the others."""
    rng = np.random.default_rng(seed)
    sizes = {group: int((groups == group).sum()) for group in list(judged)[:_MAX_GROUPS]}
    drawn = []
    for group, size in sizes.items():
        n_each = max(_LEAST_DRAWN, _MAX_CELLS * size // sum(sizes.values()) // len(judged[group]))
        of_value = (np.flatnonzero((groups == group) & (codes == value)) for value in judged[group])
        drawn += [rng.permutation(own)[:n_each] for own in of_value]
    chosen = np.sort(np.concatenate(drawn))
    groups, codes, rows = groups[chosen], codes[chosen], csr_matrix(x[cells[chosen]], dtype=np.float32)
    # cells that were changed since the model was made; training says so
    if not (np.isfinite(rows.data) & (rows.data >= 0)).all():
        return 0.5
    depth = np.log(np.maximum(np.asarray(rows.sum(axis=1), dtype=np.float64).ravel(), 1e-8))
    log_expression = log_normalize(rows)
    variable = np.argsort(-mean_variance_axis(log_expression, axis=0)[1], kind="stable")[:_N_GENES]
    a = log_expression[:, variable].toarray()
    members = [np.flatnonzero(groups == group) for group in sizes]
    for own in members:
        a[own] -= a[own].mean(axis=0)
    u, s, _ = randomized_svd(a, min(_N_COMPONENTS, *a.shape), random_state=int(rng.integers(2**31)))
    scores = (u * s).astype(np.float64)
    aucs = []
    for own in members:
        # sequencing depth alone, which the model describes, is no batch
        powers = np.vander(depth[own] - depth[own].mean(), 3)
        z, y = scores[own] - powers @ np.linalg.lstsq(powers, scores[own], rcond=None)[0], codes[own]
        values = np.unique(y)
        probability = np.zeros((len(own), len(values)))
        for test in folds(len(own), _N_FOLDS, rng, y):
            rest = np.setdiff1d(np.arange(len(own)), test)
            judge = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(z[rest], y[rest])
            probability[test] = judge.predict_proba(z[test])
        aucs.append(np.mean([roc_auc_score(y == value, p) for value, p in zip(values, probability.T, strict=True)]))
    return float(np.average(aucs, weights=list(sizes.values())))


def warn_of_untold(model: Any, seed: int) -> None:
    """Warn if the cells of a model, an AnnData in memory, have columns that split the types and are not registered."""
    adata = model.adata
    # a query's columns were chosen with its reference
    if not isinstance(adata, AnnData) or adata.isbacked or model.reference_categories_ is not None:
        return
    registered, arguments = model.adata_manager.get_from_registry, model.registry_["setup_args"]
    types = np.asarray(registered(REGISTRY_KEYS.LABELS_KEY)).ravel().astype(int)
    if (unlabeled := arguments.get("unlabeled_category")) is not None:
        types = np.where(label_names(model.registry_)[types] == unlabeled, -1, types)
    batch_key, covariates = arguments["batch_key"], list(arguments["categorical_covariate_keys"] or [])
    told = covariates if batch_key is None else [batch_key, *covariates]
    exclude = [arguments["labels_key"], arguments["size_factor_key"], *(arguments["continuous_covariate_keys"] or [])]
    obs: Any = adata.obs
    found = untold_columns(registered(REGISTRY_KEYS.X_KEY), types, obs, told=told, exclude=exclude, seed=seed)
    if not found:
        return
    first, *others = found
    as_covariate = f"categorical_covariate_keys={[*covariates, first.column]}"
    hint = f"batch_key={first.column!r}" if batch_key is None else as_covariate
    also = ", ".join(f"obs[{other.column!r}] {other.auc:.2f}" for other in others)
    warnings.warn(
        f"obs[{first.column!r}] splits the cell types: within a type its {first.n_values} values are recognized with AUC "
        f"{first.auc:.2f} (chance 0.5; {first.n_types} types), and the model was not told of it, so that generated cells "
        f"mix them and are easier to tell from real ones. Register it: setup_anndata(..., {hint})."
        + (f" Also recognized: {also}; register what {first.column!r} does not say." if others else ""),
        UserWarning,
        stacklevel=3,
    )
