import io

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from activa.pl import classifier_report

SUMMARIES = ["accuracy", "macro average", "weighted average"]


def make(types, of_test=None):
    rng = np.random.default_rng(0)
    rows = [
        (name, label, np.nan if label == "accuracy" else rng.random(), np.nan if label == "accuracy" else rng.random(),
         rng.random(), int(rng.integers(1, 9000)))
        for name, present in (("train", types), ("test", types if of_test is None else of_test))
        for label in [*present, *SUMMARIES]
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["set", "type", "precision", "recall", "f1", "cells"])


def texts(ax):
    return {(round(text.get_position()[1]), round(text.get_position()[0])): text.get_text() for text in ax.texts}


def test_every_number_stands_where_it_belongs():
    table, settings = make(["NK", "B", "T"], ["B", "T"]), dict(mpl.rcParams)
    figure = classifier_report(table, return_fig=True)
    assert isinstance(figure, Figure)
    rows = ["B", "NK", "T", *SUMMARIES]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == rows
    assert [ax.get_title() for ax in figure.axes[:2]] == ["Training cells", "Test cells"]
    for ax, name in zip(figure.axes, ("train", "test"), strict=False):
        expected = {}
        for row in table[table["set"] == name].itertuples():
            values = [f"{value:.3f}" for value in (row.precision, row.recall, row.f1)] + [f"{row.cells:,}"]
            expected |= {(rows.index(row.type), column): value for column, value in enumerate(values) if value != "nan"}
        assert texts(ax) == expected
        shown = ax.images[0].get_array().filled(np.nan)
        for (row, column), text in texts(ax).items():
            if column < 3:
                assert shown[row, column] == pytest.approx(float(text), abs=5e-4)
        assert ax.images[0].get_clim() == (0, 1)
    assert dict(mpl.rcParams) == settings


def test_nineteen_types_fit():
    figure = classifier_report(make([f"a rather long type name {i:02}" for i in range(19)]), return_fig=True)
    figure.savefig(io.BytesIO(), dpi=50)
    labels = [label.get_window_extent() for label in figure.axes[0].get_yticklabels()]
    assert all(a.y0 > b.y1 for a, b in zip(labels, labels[1:], strict=False))
    assert min(label.x0 for label in labels) >= 0
    cell = figure.axes[0].transData.transform([(0, 0), (1, 1)])
    widest = max(text.get_window_extent().width for text in figure.axes[0].texts)
    assert widest < cell[1, 0] - cell[0, 0]


def test_bad_tables_are_refused():
    table = make(["B", "T"])
    with pytest.raises(ValueError, match="table lacks .'f1'."):
        classifier_report(table.drop(columns="f1"))
    with pytest.raises(ValueError, match="no rows"):
        classifier_report(table[:0])
