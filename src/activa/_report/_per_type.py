from collections.abc import Callable

import numpy as np
import pandas as pd

from activa.data import Cells
from activa.metrics._label_fidelity import recognize
from activa.metrics._mmd import mmd
from activa.metrics._registry import Comparison

MIN_CELLS = 10


def per_type(real: Cells, synthetic: Cells, at_value: Comparison, at_floor: Comparison) -> pd.DataFrame:
    """What the metrics that look at types find in each of them.

    Parameters
    ----------
    real, synthetic
        All cells, which are counted and whose medians are taken.
    at_value, at_floor
        Synthetic cells, and real cells in their place, beside real ones.

    Returns
    -------
    A row a type that is in either: ``real`` and ``synthetic`` cells; ``mmd`` and ``mmd_floor``, the squared maximum mean
    discrepancy within the type; ``recognized`` and ``recognized_floor``, the share of its cells that an independent
    classifier gives the type; ``library_size`` and ``genes``, the synthetic median over the real one. NaN where
    fewer than ten cells of a side, or no counts, are there to tell.
    """
    types = np.unique(np.concatenate([real.types, synthetic.types]))
    columns: dict[str, list] = {"real": _count(real.types, types), "synthetic": _count(synthetic.types, types)}
    for suffix, comparison in (("", at_value), ("_floor", at_floor)):
        columns[f"mmd{suffix}"] = [_mmd(comparison, label) for label in types]
        columns[f"recognized{suffix}"] = _recognized(comparison, types)
    columns["library_size"] = _ratio(real, synthetic, types, _library_size)
    columns["genes"] = _ratio(real, synthetic, types, lambda cells: cells.log_expression.getnnz(axis=1))
    return pd.DataFrame(columns, index=pd.Index(types, name="type"))


def _count(labels: np.ndarray, types: np.ndarray) -> list[int]:
    return [int((labels == label).sum()) for label in types]


def _mmd(c: Comparison, label: str) -> float:
    x, y = c.components[0][c.real.types == label], c.components[1][c.synthetic.types == label]
    return mmd(x, y, seed=c.seed) if min(len(x), len(y)) >= MIN_CELLS else float("nan")


def _recognized(c: Comparison, types: np.ndarray) -> list[float]:
    reference, labels = c.components[0], c.real.types
    if c.has_train:
        reference, labels = c.space.reference_components, c.space.reference.types
    if len(np.unique(labels)) < 2:
        return [float("nan")] * len(types)
    right = recognize(reference, labels, c.components[1], c.seed) == c.synthetic.types
    of_type = [c.synthetic.types == label for label in types]
    return [float(right[cells].mean()) if cells.sum() >= MIN_CELLS else float("nan") for cells in of_type]


def _library_size(cells: Cells) -> np.ndarray:
    """NaN where only log-normalized values are known."""
    return np.full(len(cells), np.nan) if cells.counts is None else np.asarray(cells.counts.sum(axis=1)).ravel()


def _ratio(real: Cells, synthetic: Cells, types: np.ndarray, of: Callable[[Cells], np.ndarray]) -> list[float]:
    values = of(real), of(synthetic)
    ratios = []
    for label in types:
        x, y = values[0][real.types == label], values[1][synthetic.types == label]
        known = min(len(x), len(y)) >= MIN_CELLS and np.median(x) > 0
        ratios.append(float(np.median(y) / np.median(x)) if known else float("nan"))
    return ratios
