"""Each type by itself: whether its synthetic cells are recognized, and lie where its real cells lie."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.spatial.distance import cdist, pdist
from scipy.stats import fisher_exact
from statsmodels.stats.proportion import proportion_confint

from activa.arguments import check_integers
from activa.data import check_sets, read_cells, subsample
from activa.metrics.distances import BANDWIDTHS
from activa.metrics.samples import CellSet, Splits
from activa.seeds import MAX_SEED

MIN_CELLS = 5
_FEW_CELLS = 20  # below it, nothing short of a gross fault can be seen
_ALARM = 0.05  # chance that any type of real cells is found unlike real cells
_MAX_CELLS = 200  # of a type in a test
_N_PERMUTATIONS = 999


def evaluate_types(
    real: AnnData,
    synthetic: AnnData,
    *,
    labels_key: str,
    layer: str | None = None,
    normalized: bool = False,
    seed: int = 0,
) -> pd.DataFrame:
    """Judge the synthetic cells of each type, down to five cells, beside real cells of the type.

    Recognition is that of ``label_fidelity`` in :func:`~activa.metrics.evaluate`: a classifier trained on one half of the
    real cells is asked for the types of the other half and of the synthetic cells, eight times. With a column of batches as
    ``labels_key``, the rows are batches.

    Parameters
    ----------
    real, synthetic, labels_key, layer, normalized, seed
        As in :func:`activa.metrics.evaluate`, which raises the same errors.

    Returns
    -------
    One row per type of either set (index ``type``): numbers of ``real`` and ``synthetic`` cells; the share ``recognized``
    of the synthetic cells and ``recognized_real`` of the real ones, each with a 95% interval (``_low``, ``_high``; Wilson
    1927); ``mmd`` within the type, and ``mmd_floor``, which real cells exceed in 5% of permutations; ``library_size`` and
    ``genes``, the synthetic median over the real one; and ``judgment``. That is "unlike real" (cells lie elsewhere by the
    permutation test, or are recognized less often by Fisher's exact test; 5% for all types together), "as real", "cannot
    tell" (fewer than 20 cells of a set and no difference found) or "too few cells" (fewer than five).

    Examples
    --------
    >>> evaluate_types(held_out, synthetic, labels_key="cell_type")  # doctest: +SKIP
    """
    check_integers(seed=seed, least=0, most=MAX_SEED)
    sets = {"real": real, "synthetic": synthetic}
    check_sets(sets, labels_key=labels_key, layer=layer)
    cells = read_cells(sets, labels_key=labels_key, layer=layer, normalized=normalized)
    return type_table(Splits(cells, real.var_names, seed), seed)


def type_table(splits: Splits, seed: int) -> pd.DataFrame:
    """The table of :func:`evaluate_types`."""
    sets = {"real": splits.real, "synthetic": splits.synthetic}
    counts = {name: Counter(of.cells.types.tolist()) for name, of in sets.items()}
    types = sorted(counts["real"] | counts["synthetic"])
    shares = recognized_shares(splits)
    facts = {"library_size": _library_sizes, "genes": _n_genes}
    of_cells = {name: (fact(splits.real), fact(splits.synthetic)) for name, fact in facts.items()}
    rows = []
    for label in types:
        n_real, n_synthetic = (counts[name][label] for name in sets)
        row: dict[str, Any] = {"real": n_real, "synthetic": n_synthetic}
        row |= _with_interval("recognized", shares["synthetic"].get(label, np.nan), n_synthetic)
        row |= _with_interval("recognized_real", shares["real"].get(label, np.nan), n_real)
        x, y = (np.flatnonzero(of.cells.types == label) for of in sets.values())
        row |= dict.fromkeys(("mmd", "mmd_floor", "p_value", "library_size", "genes"), np.nan)
        if min(n_real, n_synthetic) >= MIN_CELLS:
            row |= mmd_test(splits.real.components[x], splits.synthetic.components[y], seed)
            for name, (in_real, in_synthetic) in of_cells.items():
                median = np.median(in_real[x])
                row[name] = np.median(in_synthetic[y]) / median if median > 0 else np.nan
        rows.append(row | {"judgment": _judgment(row, _ALARM / len(types))})
    return pd.DataFrame(rows, index=pd.Index(types, name="type")).drop(columns="p_value")


def recognitions(splits: Splits) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Types of the cells of both sets, and what classifiers trained on halves of the real cells take them for."""
    pairs: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {"real": [], "synthetic": []}
    for split in splits.splits if len(set(splits.real.cells.types)) > 1 else ():
        for name, comparison in (("synthetic", split.values[0]), ("synthetic", split.values[1]), ("real", split.floor)):
            pairs[name].append((comparison.labels[1], comparison.real.recognize(comparison.synthetic)))
    none = np.empty(0, dtype=str)
    return {
        name: (np.concatenate([none, *(asked for asked, _ in of)]), np.concatenate([none, *(found for _, found in of)]))
        for name, of in pairs.items()
    }


def recognized_shares(splits: Splits) -> dict[str, dict[str, float]]:
    """Share of each type's cells that classifiers trained on halves of the real cells recognize, in both sets."""
    shares = {}
    for name, (asked, found) in recognitions(splits).items():
        right = Counter(asked[asked == found].tolist())
        shares[name] = {label: right[label] / n for label, n in Counter(asked.tolist()).items()}
    return shares


def mmd_test(real: np.ndarray, synthetic: np.ndarray, seed: int) -> dict[str, float]:
    """Unbiased squared maximum mean discrepancy, its 95% quantile over permutations of the sets, and its p-value.

    The kernel is that of :func:`activa.metrics.mmd` (Gretton et al. 2012, JMLR 13:723), on at most 200 cells of each set.
    """
    rng = np.random.default_rng(seed)
    sets = [x[subsample(len(x), _MAX_CELLS, rng)] for x in (real, synthetic)]
    n, cells = len(sets[0]), np.vstack(sets)
    median = np.median(pdist(cells, "sqeuclidean"))
    if median == 0:
        return {"mmd": np.nan, "mmd_floor": np.nan, "p_value": np.nan}
    squared = cdist(cells, cells, "sqeuclidean")
    kernel = np.mean([np.exp(-squared / (scale * median)) for scale in BANDWIDTHS], axis=0)
    np.fill_diagonal(kernel, 0)
    is_real = np.zeros((len(cells), 1 + _N_PERMUTATIONS))
    is_real[:n] = 1
    is_real[:, 1:] = rng.permuted(is_real[:, 1:], axis=0)
    m = len(cells) - n
    sums = kernel @ is_real
    within_real = (is_real * sums).sum(axis=0)
    between = ((1 - is_real) * sums).sum(axis=0)
    within_synthetic = kernel.sum() - within_real - 2 * between
    statistic = within_real / (n * (n - 1)) + within_synthetic / (m * (m - 1)) - 2 * between / (n * m)
    return {
        "mmd": float(statistic[0]),
        "mmd_floor": float(np.quantile(statistic[1:], 0.95)),
        "p_value": float((statistic >= statistic[0]).mean()),
    }


def _with_interval(name: str, share: float, n_cells: int) -> dict[str, float]:
    low, high = (np.nan, np.nan)
    if n_cells and not np.isnan(share):
        low, high = proportion_confint(share * n_cells, n_cells, method="wilson")
    return {name: share, f"{name}_low": low, f"{name}_high": high}


def _judgment(row: Mapping[str, Any], alarm: float) -> str:
    fewest = min(row["real"], row["synthetic"])
    if fewest < MIN_CELLS:
        return "too few cells"
    # cells recognized and not, synthetic and real
    table = []
    for share, n in ((row["recognized"], row["synthetic"]), (row["recognized_real"], row["real"])):
        right = round(np.nan_to_num(share) * n)
        table.append([right, n - right])
    if min(row["p_value"], fisher_exact(table, alternative="less").pvalue) < alarm:
        return "unlike real"
    return "cannot tell" if fewest < _FEW_CELLS else "as real"


def _library_sizes(of: CellSet) -> np.ndarray:
    """Total counts of each cell; NaN if only log-normalized values are known."""
    counts = of.cells.counts
    return np.full(len(of.cells), np.nan) if counts is None else np.asarray(counts.sum(axis=1)).ravel()


def _n_genes(of: CellSet) -> np.ndarray:
    return of.cells.log_expression.getnnz(axis=1)
