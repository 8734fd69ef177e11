"""What all plots have in common."""

import inspect
import re

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from tests_helpers import make_counts, make_model

from activa import pl
from activa.train import Hinge

SETS = ["real", "one"]
TABLES = {
    "augmentation": pd.DataFrame({"label": "T", "kept": [1, 9], "seed": 0, "method": "none", "f1": [0.1, 0.9]}),
    "classifier_report": pd.DataFrame(
        {"set": "test", "type": ["B", "accuracy"], "precision": 0.5, "recall": 0.5, "f1": 0.5, "cells": 9}
    ),
    "correlation_discrepancy": pd.DataFrame(
        {"set": SETS, "gene": "a", "other_gene": "a", "correlation": 1.0, "discrepancy": 0.0}
    ),
    "differential_state": pd.DataFrame({"set": SETS, "type": "B", "gene": "a", "differential": [True, False]}),
    "dropout_curve": pd.DataFrame({"set": SETS, "mean": 1.0, "dropout": 0.5, "fit": 0.5, "lower": 0.4, "upper": 0.6}),
    "manifold": pd.DataFrame({"set": SETS * 2, "UMAP1": [0.0, 1, 2, 3], "UMAP2": [0.0, 1, 2, 3]}),
    "margin_search": pd.DataFrame({"margin": [2.0, 1], "rf_auc": 0.6, "wasserstein": 9.0, "best": [True, False]}),
    "marker_expression": pd.DataFrame({"set": SETS * 3, "type": "B", "gene": "a", "expression": [0.0, 1, 2, 3, 4, 5]}),
    "metrics": pd.DataFrame(
        {"value": [0.6, 14.0], "low": [0.55, 13.5], "high": [0.65, 14.5]}
        | {"floor": [0.5, 13.0], "floor_low": [0.4, 12.0], "floor_high": [0.6, 14.0], "best": [0.5, 13.0]}
        | {"deviation": [4.0, 2.0], "judgment": ["unlike real", "as real"]},
        ["rf_auc", "wasserstein"],
    ),
    "rf_detection": pd.DataFrame(
        {
            "set": "one",
            "fold": [0, 0, 1, 1],
            "false_positive_rate": [0.0, 1, 0, 1],
            "true_positive_rate": [0.0, 1, 0, 1],
            "auc": 0.5,
        }
    ),
    "scaling": pd.DataFrame(
        {"n_cells": [10, 100], "n_genes": 9, "configuration": "default", "n_generated": 5}
        | {f"seconds_{name}": [1.0, 2.0] for name in ("train", "per_epoch", "generate")}
    ),
}
LABELED = {"confusion", "markers", "umap_per_type"}
PAIRS = LABELED | {"cell_profiles", "correlation", "dropout", "genes_per_cell", "library_size", "mean_variance", "umap"}
PLOTS = [name for name in pl.__all__ if name != "joint_umap"]
ONE_PANEL = [name for name in PLOTS if "ax" in inspect.signature(getattr(pl, name)).parameters]


@pytest.fixture(scope="module")
def trained():
    return make_model(make_counts(80), epochs=2, game=Hinge())


@pytest.fixture
def plot(trained):
    """Makes a plot by its name, and checks that nothing else changes."""
    sets = make_counts(60, seed=1), make_counts(50, seed=2)

    def make(name, **arguments):
        if name in TABLES:
            data = (TABLES[name].copy(),)
        else:
            data = tuple(adata.copy() for adata in sets) if name in PAIRS else (trained,)
        arguments |= {"labels_key": "cell_type"} if name in LABELED else {}
        settings, state = dict(mpl.rcParams), np.random.get_state()[1].copy()
        result = getattr(pl, name)(*data, **arguments)
        assert dict(mpl.rcParams) == settings and np.array_equal(np.random.get_state()[1], state)
        if name in TABLES:
            pd.testing.assert_frame_equal(data[0], TABLES[name])
        for given, kept in zip(data, sets, strict=False):
            if name in PAIRS:
                assert (given.X != kept.X).nnz == 0 and not given.uns and not given.obsm
                pd.testing.assert_frame_equal(given.obs, kept.obs)
        return result

    return make


@pytest.fixture
def no_autoshow():
    before, sc.settings.autoshow = sc.settings.autoshow, False
    yield
    sc.settings.autoshow = before


@pytest.mark.parametrize("name", PLOTS)
def test_every_plot_takes_the_same_arguments(name):
    parameters = inspect.signature(getattr(pl, name)).parameters
    for argument, default in {"show": None, "save": None, "dpi": None, "return_fig": False}.items():
        assert parameters[argument].kind is inspect.Parameter.KEYWORD_ONLY
        assert parameters[argument].default is default
    assert ("ax" in parameters) == (name in ONE_PANEL)


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_is_shown_once_and_then_gone(name, plot, monkeypatch):
    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(plt.get_fignums()))
    assert plot(name) is None
    assert len(shown) == 1 and len(shown[0]) == 1
    assert not plt.get_fignums()


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_is_returned_or_saved_and_not_shown(name, plot, monkeypatch, tmp_path, no_autoshow):
    monkeypatch.setattr(plt, "show", lambda: pytest.fail("it was shown"))
    figure = plot(name, return_fig=True, save=tmp_path / "plot.svg")
    assert isinstance(figure, Figure)
    assert (tmp_path / "plot.svg").read_text().startswith("<?xml")
    panels = plot(name)
    assert all(isinstance(ax, Axes) for ax in ([panels] if name in ONE_PANEL else panels))
    assert not plt.get_fignums()


@pytest.mark.parametrize("name", ONE_PANEL)
def test_a_panel_that_is_given_is_plotted_into_and_no_other(name, plot, monkeypatch):
    monkeypatch.setattr(plt, "show", lambda: pytest.fail("it was shown"))
    figure = Figure(figsize=(8, 4))
    given, other = figure.subplots(1, 2)
    before, kept = given.get_position(original=True).bounds, len(other.get_children())
    assert plot(name, ax=given) is given
    assert given.has_data() and not other.has_data() and len(other.get_children()) == kept
    assert figure.axes == [given, other] and not figure.legends and tuple(figure.get_size_inches()) == (8, 4)
    assert given.get_position(original=True).bounds == before
    assert plot(name, ax=given, return_fig=True) is figure


def test_a_figure_that_was_given_is_shown_when_asked_and_left_open(plot, monkeypatch):
    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(plt.get_fignums()))
    figure, ax = plt.subplots()
    try:
        assert plot("dropout", ax=ax, show=True) is None
        assert shown == [[figure.number]] == [plt.get_fignums()]
    finally:
        plt.close(figure)


def test_bad_output_is_refused_before_any_work(plot, tmp_path):
    for wrong, error, match in [
        ({"save": tmp_path / "plot.xyz"}, ValueError, "must end in a format of figures"),
        ({"save": tmp_path / "absent" / "plot.png"}, FileNotFoundError, "does not exist"),
        ({"save": True}, TypeError, "save must be a path"),
        ({"ax": 3}, TypeError, "ax must be Matplotlib Axes"),
    ]:
        with pytest.raises(error, match=match):
            pl.dropout(None, None, **wrong)
    assert not list(tmp_path.iterdir())


def test_a_plot_that_fails_leaves_no_figure(monkeypatch):
    # the check of the table does not see that areas are not numbers
    table = TABLES["rf_detection"].assign(auc="none")
    with pytest.raises(TypeError):
        pl.rf_detection(table, show=True)
    assert not plt.get_fignums()


@pytest.mark.parametrize("name", PLOTS)
def test_every_argument_is_documented(name):
    documented = pl.__dict__[name].__doc__
    assert not re.search(r"\{[a-z_, ]+\}$", documented, flags=re.MULTILINE)
    listed = re.findall(r"^(\w+(?:, \w+)*)\n    \S", documented, flags=re.MULTILINE)
    assert [argument for line in listed for argument in line.split(", ")][
        : len(inspect.signature(pl.__dict__[name]).parameters)
    ] == list(inspect.signature(pl.__dict__[name]).parameters)


@pytest.mark.parametrize("name", sorted(set(TABLES) - {"metrics"}))
def test_other_tables_are_refused(name):
    plot, table = getattr(pl, name), TABLES[name]
    for column in set(table) - {"gene", "n_genes"} if name != "manifold" else {"set"}:
        with pytest.raises(ValueError, match=f"table lacks .'{column}'.: give the table of activa.experiments.{name}"):
            plot(table.drop(columns=column))
    with pytest.raises(ValueError, match="table has no rows"):
        plot(table[:0])
    with pytest.raises(TypeError, match="table must be the DataFrame"):
        plot(table.to_numpy())


@pytest.mark.filterwarnings("ignore:The number of unique classes")  # two cells of a type
@pytest.mark.parametrize("name", ["confusion", "library_size", "correlation", "markers"])
def test_forty_types_fit(name, forty):
    figure = getattr(pl, name)(*forty, labels_key="cell_type", return_fig=True)
    figure.draw_without_rendering()
    box = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert box.x0 >= -0.01 and box.y0 >= -0.01 and box.x1 <= width + 0.01 and box.y1 <= height + 0.01
    legends = [*figure.legends, *(legend for ax in figure.axes if (legend := ax.get_legend()))]
    for legend in legends:
        assert not any(ax.get_window_extent().overlaps(legend.get_window_extent()) for ax in figure.axes)
    rows = [label.get_window_extent() for label in figure.axes[0].get_yticklabels() if label.get_text()]
    assert all(not a.overlaps(b) for a, b in zip(rows, rows[1:], strict=False))
    if name == "confusion":
        assert len(rows) == 40 and not figure.axes[0].texts


def test_dpi_is_that_of_what_is_saved(plot, tmp_path):
    sizes = {}
    for dpi in (None, 60, 120):
        plot("dropout", save=tmp_path / "plot.png", dpi=dpi, show=False)
        sizes[dpi] = np.array(plt.imread(tmp_path / "plot.png").shape[:2])
    assert np.abs(sizes[120] - 2 * sizes[60]).max() <= 1 and np.abs(2 * sizes[None] - 5 * sizes[60]).max() <= 2
    with mpl.rc_context({"savefig.dpi": 60}):
        plot("dropout", save=tmp_path / "plot.png", show=False)
    assert np.array_equal(plt.imread(tmp_path / "plot.png").shape[:2], sizes[60])
    for wrong in (0, "high", float("nan")):
        with pytest.raises(ValueError, match="dpi must be None or a number from 1 to 10,000, got"):
            plot("dropout", dpi=wrong)
