"""The plots of the tables that experiments without training give."""

import io

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from tests_helpers import make_counts

from activa import experiments, pl

NAMES = ["correlation_discrepancy", "dropout_curve", "manifold", "marker_expression", "rf_detection"]


@pytest.fixture(scope="module")
def tables():
    adata = make_counts(180)
    real, *others = (adata[i::3].copy() for i in range(3))
    sets = dict(zip(["ACTIVA", "held out"], others, strict=True))
    arguments = {name: {"labels_key": "cell_type"} for name in NAMES} | {"dropout_curve": {}}
    arguments["rf_detection"]["n_trees"] = 20
    arguments["manifold"]["genes"] = ["gene_3"]
    return {name: getattr(experiments, name)(real, sets, **arguments[name]) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_plots_are_figures_and_leave_all_as_it_was(name, tables):
    table, settings = tables[name].copy(), dict(mpl.rcParams)
    figure = getattr(pl, name)(table, return_fig=True)
    assert isinstance(figure, Figure)
    figure.savefig(io.BytesIO(), dpi=50)
    pd.testing.assert_frame_equal(table, tables[name])
    assert dict(mpl.rcParams) == settings


@pytest.mark.parametrize("name", NAMES)
def test_other_tables_are_refused(name, tables):
    plot = getattr(pl, name)
    with pytest.raises(ValueError, match=f"activa.experiments.{name}"):
        plot(tables[name].drop(columns="set"))
    with pytest.raises(ValueError, match="no rows"):
        plot(tables[name][:0])
    with pytest.raises(TypeError, match="DataFrame"):
        plot(tables[name].to_numpy())


def test_roc_legend_has_the_mean_areas(tables):
    figure = pl.rf_detection(tables["rf_detection"], return_fig=True)
    texts = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    for name, area in tables["rf_detection"].drop_duplicates(["set", "fold"]).groupby("set")["auc"].mean().items():
        assert any(text.startswith(f"{name}: {area:.3f}") for text in texts)


def test_heat_maps_are_the_matrices(tables):
    table = tables["correlation_discrepancy"]
    figure = pl.correlation_discrepancy(table, return_fig=True)
    for ax, (_, rows) in zip(figure.axes, table.groupby("set", sort=False), strict=False):
        assert np.array_equal(ax.images[0].get_array().ravel(), rows["correlation"])


def test_each_violin_stands_at_its_sets_median(tables):
    table = tables["marker_expression"]
    figure = pl.marker_expression(table, return_fig=True)
    for ax, (_, rows) in zip(figure.axes, table.groupby("type", sort=False), strict=True):
        shown = sorted(line.get_ydata()[0] for line in ax.lines)
        assert np.allclose(shown, sorted(rows.groupby(["set", "gene"])["expression"].median()))


def test_manifold_shows_each_cell_once(tables):
    table = tables["manifold"]

    def points(figure):
        return [len(c.get_offsets()) for ax in figure.axes for c in ax.collections if len(c.get_offsets()) > 1]

    assert points(pl.manifold(table, return_fig=True)) == [120, 120]
    assert points(pl.manifold(table, basis="tSNE", color="gene_3", return_fig=True))[:3] == [60, 60, 60]
    marked = pl.manifold(table, highlight="NK", return_fig=True)
    n_marked = [len(ax.collections[1].get_offsets()) for ax in marked.axes]
    assert n_marked == list(table[table["type"] == "NK"].groupby("set", sort=False).size())
    assert {to_hex(ax.collections[0].get_facecolor()[0]) for ax in marked.axes} == {"#dddddd"}


def test_manifold_refuses_what_it_has_not(tables):
    for wrong, match in [
        ({"basis": "PCA"}, "basis"),
        ({"color": "type"}, "no column of numbers"),
        ({"highlight": "C"}, "not a type"),
        ({"color": "gene_3", "highlight": "NK"}, "not both"),
    ]:
        with pytest.raises(ValueError, match=match):
            pl.manifold(tables["manifold"], **wrong)
