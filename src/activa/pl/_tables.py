"""What the plots of the experiments' tables share."""

from __future__ import annotations

import pandas as pd

# Okabe and Ito 2008, without the yellow, which is too pale for lines; real cells have the first.
_OTHERS = ["#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#000000"]


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


def set_colours(table: pd.DataFrame) -> dict[str, str]:
    """A colour for each set of the table, in its order; real cells have one of their own."""
    names = [name for name in table["set"].unique() if name != "real"]
    colours = {name: _OTHERS[i % len(_OTHERS)] for i, name in enumerate(names)}
    return ({"real": "#0072b2"} if (table["set"] == "real").any() else {}) | colours
