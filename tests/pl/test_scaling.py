import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from activa.pl import scaling


@pytest.fixture
def table():
    return pd.DataFrame(
        {
            "n_cells": [500_000, 100_000],
            "n_genes": 17_789,
            "configuration": "default",
            "n_generated": 1_000,
            "seconds_train": [3_000.0, 700.0],
            "seconds_per_epoch": [300.0, 70.0],
            "seconds_generate": [2.5, 2.4],
        }
    )


def test_lines_show_seconds_against_cells(table):
    settings = dict(mpl.rcParams)
    figure = scaling(table, return_fig=True)
    assert isinstance(figure, Figure)
    (ax,) = figure.axes
    assert ax.get_xscale() == ax.get_yscale() == "log"
    for line, column in zip(ax.lines, ("seconds_train", "seconds_per_epoch", "seconds_generate"), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), [100_000, 500_000])
        np.testing.assert_array_equal(line.get_ydata(), table[column][::-1])
    assert ax.get_ylim() == (1, 10_000)
    figure.draw_without_rendering()
    assert [label.get_text() for label in ax.get_xticklabels()] == ["100,000", "500,000"]
    assert {"1", "10", "100", "1,000", "10,000"} <= {label.get_text() for label in ax.get_yticklabels()}
    assert ax.get_legend().get_texts()[2].get_text() == "generating 1,000 cells"
    assert dict(mpl.rcParams) == settings


def test_configurations_have_lines_of_their_own(table):
    ax = scaling(pd.concat([table, table.assign(configuration="paper")]), show=False)
    assert len({(line.get_color(), line.get_linestyle()) for line in ax.lines}) == len(ax.lines) == 6
    assert ax.lines[0].get_label() == "training (default)" and ax.lines[3].get_label() == "training (paper)"


def test_bad_tables_are_refused(table):
    with pytest.raises(ValueError, match="table lacks .'seconds_train'."):
        scaling(table.drop(columns="seconds_train"))
    with pytest.raises(ValueError, match="no rows"):
        scaling(table[:0])
