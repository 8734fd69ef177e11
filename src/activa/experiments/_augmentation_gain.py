"""What adding cells gains."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import t

_REFERENCES = ("none", "oversampling")


def augmentation_gain(table: pd.DataFrame) -> pd.DataFrame:
    """How much higher F1 is with added cells than without, and than with copies of the kept ones.

    Runs are paired: a gain is the difference between two methods of one seed and number kept. Its mean has a 95% interval of
    Student's t over seeds, which are what varies independently: the numbers kept share a seed's split and are nested, so
    that over all of them a seed's gains are averaged first.

    Parameters
    ----------
    table
        What :func:`activa.experiments.augmentation` gave.

    Returns
    -------
    A row a method, reference and number kept, and one over all of them, where ``kept`` is missing: ``method``, ``reference``
    (``"none"`` or ``"oversampling"``, where the table has it), ``kept``, ``gain`` (of F1), ``lower`` and ``upper`` (NaN with
    one seed), and ``seeds``, how many there are. Runs without an F1 are left out.

    Raises
    ------
    ValueError
        If it is no such table, or has two rows of one seed, number kept and method.

    Examples
    --------
    >>> gain = augmentation_gain(table)
    >>> gain[gain["kept"].isna()]
    """
    if absent := [column for column in ("method", "kept", "seed", "f1") if column not in table]:
        raise ValueError(f"table lacks {absent}; give that of activa.experiments.augmentation.")
    if table.duplicated(["seed", "kept", "method"]).any():
        raise ValueError("table has several rows of one seed, number kept and method; give one run at a time.")
    wide = table.pivot(index=["kept", "seed"], columns="method", values="f1")
    rows = []
    for reference in _REFERENCES:
        if reference not in wide:
            continue
        for method in table["method"].unique():
            if method in ("none", reference):
                continue
            gains = (wide[method] - wide[reference]).dropna()
            of_kept = {kept: gains.xs(kept, level="kept") for kept in sorted(gains.index.unique("kept"), reverse=True)}
            for kept, values in {**of_kept, pd.NA: gains.groupby(level="seed").mean()}.items():
                rows.append((method, reference, kept, *t_interval(values.to_numpy()), len(values)))
    columns = ["method", "reference", "kept", "gain", "lower", "upper", "seeds"]
    return pd.DataFrame(rows, columns=columns).astype({"kept": "Int64"})


def t_interval(values: np.ndarray) -> tuple[float, float, float]:
    """Mean, and the 95% interval of Student's t around it, NaN for one value."""
    n = len(values)
    if n == 0:
        return np.nan, np.nan, np.nan
    mean = float(values.mean())
    half = float(t.ppf(0.975, n - 1) * values.std(ddof=1) / np.sqrt(n)) if n > 1 else np.nan
    return mean, mean - half, mean + half
