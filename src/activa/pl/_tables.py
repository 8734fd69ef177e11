"""What the plots of the experiments' tables share."""

from __future__ import annotations

import pandas as pd

from activa.pl._colors import OTHERS, REAL


def check_table(table: pd.DataFrame, experiment: str, columns: tuple[str, ...]) -> None:
    """Raise a TypeError or ValueError unless this is such a table of an experiment."""
    if not isinstance(table, pd.DataFrame):
        raise TypeError(
            f"table must be the DataFrame of activa.experiments.{experiment}, found {type(table).__name__}."
        )
    if absent := [column for column in columns if column not in table]:
        raise ValueError(f"table lacks {absent}; give that of activa.experiments.{experiment}.")
    if table.empty:
        raise ValueError("table has no rows; there is nothing to plot.")


def set_colors(table: pd.DataFrame) -> dict[str, str]:
    """A color for each set of the table, in its order; real cells have one of their own."""
    names = [name for name in table["set"].unique() if name != "real"]
    colors = {name: OTHERS[i % len(OTHERS)] for i, name in enumerate(names)}
    return ({"real": REAL} if (table["set"] == "real").any() else {}) | colors
