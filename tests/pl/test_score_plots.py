"""What the plots of scores, of a training and of times show, as numbers."""

import io

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from tests_helpers import make_counts

from activa import ACTIVA, pl
from activa.metrics import METRICS
from activa.train import Hinge


def make(**values):
    """A table of metrics from their values, floors and bests."""
    return pd.DataFrame.from_dict(values, orient="index", columns=["value", "floor", "best"]).rename_axis("metric")


TABLE = make(
    rf_auc=(0.75, 0.5, 0.5),  # half of the way to 1
    mmd=(0.5, -0.001, 0.0),  # its root is half of that of 2
    wasserstein=(26.0, 13.0, 13.0),  # twice the floor
    mixing=(0.45, 0.9, 0.9),  # half of the way to 0
    correlation_discrepancy=(3.0, 4.0, 4.0),  # a quarter below the floor
    label_fidelity=(1.0, 0.8, 0.8),  # above the floor, away from 0
    tstr_f1=(0.6, 0.6, 0.6),
    copy_ratio=(0.5, 0.9, 1.0),
    mmd_per_type=(np.nan, np.nan, 0.0),
)


EXPECTED = [0.5, 0.5, np.nan, 0.5, 0.5, -0.25, -0.25, 0.0, 4 / 9]


def dots(ax, marker_area=34):
    return [c for c in ax.collections if len(c.get_sizes()) and c.get_sizes()[0] == marker_area]


def test_a_dot_stands_at_its_share_of_the_way_to_the_worst():
    ax = pl.metrics(TABLE, show=False)
    names = [label.get_text() for label in ax.get_yticklabels()]
    order = [name for name in METRICS if name in TABLE.index]
    assert [name.removesuffix(" *") for name in names] == order
    assert [name.endswith("*") for name in names] == [METRICS[name].two_sided for name in order]
    (shown,) = dots(ax)
    x, y = np.ma.filled(shown.get_offsets(), np.nan).T
    np.testing.assert_allclose(x, EXPECTED, atol=1e-12)
    np.testing.assert_array_equal(y[~np.isnan(y)], np.flatnonzero(~np.isnan(EXPECTED)))
    # of those with a best value of their own it stands apart from the floor
    (best,) = dots(ax, 50)
    np.testing.assert_allclose(best.get_offsets(), [(-1 / 9, order.index("copy_ratio"))])
    texts = [text.get_text() for text in ax.texts]
    assert "0.75 (0.5)" in texts and "none" in texts and texts[0] == "value (floor)"
    assert ax.lines[0].get_xdata() == [0, 0]


def test_every_metric_has_a_worst_end_other_than_its_best():
    for metric in METRICS.values():
        assert metric.worst != metric.best and metric.worst >= 0


def test_generators_have_a_marker_each_in_every_row():
    tables = {
        f"a generator with a rather long name {i}": TABLE.assign(value=TABLE["value"] * (1 + i / 9)) for i in range(7)
    }
    figure = pl.metrics(tables, return_fig=True)
    figure.savefig(io.BytesIO(), dpi=50)
    (ax,) = figure.axes
    shown = dots(ax)
    assert len({tuple(map(tuple, c.get_paths()[0].vertices)) for c in shown}) == len(shown) == 7
    for c in shown:
        rows = c.get_offsets()[:, 1].compressed()
        assert np.array_equal(np.rint(rows), np.flatnonzero(~np.isnan(EXPECTED)))
    legend = ax.get_legend().get_window_extent()
    headers = [text.get_window_extent() for text in ax.texts if "(floor)" in text.get_text()]
    assert len(headers) == 7 and not any(box.overlaps(legend) for box in headers)
    assert all(not a.overlaps(b) for a, b in zip(headers, headers[1:], strict=False))
    assert legend.x0 >= 0 and max(box.x1 for box in headers) <= figure.bbox.x1
    assert not ax.get_window_extent().overlaps(legend)


def test_tables_of_other_kinds_are_refused():
    for wrong, error, match in [
        (TABLE.to_numpy(), TypeError, "table must be the DataFrame of activa.metrics.evaluate"),
        ({"one": 3}, TypeError, "table.'one'. must be the DataFrame"),
        ({}, ValueError, "got 0"),
        (TABLE.drop(columns="floor"), ValueError, "table lacks .'floor'."),
        (TABLE.rename({"mmd": "distance"}), ValueError, "unknown metrics .'distance'."),
        (TABLE[:0], ValueError, "one row per metric"),
    ]:
        with pytest.raises(error, match=match):
            pl.metrics(wrong)


def test_history_shows_what_was_logged():
    adata = make_counts(100)
    ACTIVA.setup_anndata(adata, labels_key="cell_type")
    model = ACTIVA(adata, n_hidden=(32,), n_latent=5)
    model.train(4, game=Hinge(margin=3.0), train_size=0.8, batch_size=64, enable_progress_bar=False)
    figure = pl.history(model, return_fig=True)
    panels = {ax.get_title(): {line.get_label(): line for line in ax.lines} for ax in figure.axes}
    terms = [
        "Loss",
        "Reconstruction, $L_{AE}$",
        "KL divergence, $L_{REG}$",
        "Library size",
        "Classifier",
        "Introspection",
    ]
    assert list(panels) == terms

    def logged(name):
        table = model.history[name]
        return np.column_stack([table.index, table[name].astype(float)])

    for title, (train, validation) in {
        "Loss": ("train_loss", "validation_loss"),
        "Classifier": ("classification_loss_train", "classification_loss_validation"),
    }.items():
        np.testing.assert_array_equal(panels[title]["train"].get_xydata(), logged(train))
        np.testing.assert_array_equal(panels[title]["validation"].get_xydata(), logged(validation))
    kl = panels["KL divergence, $L_{REG}$"]
    np.testing.assert_array_equal(kl["generated cells"].get_xydata(), logged("kl_generated"))
    assert kl["margin m = 3"].get_ydata() == [3, 3]
    # half of the epochs are the warm-up
    assert panels["Introspection"]["introspection begins"].get_xdata() == [2, 2]
    figure.savefig(io.BytesIO(), dpi=50)
    legend = figure.legends[0].get_window_extent()
    assert legend.x0 >= 0 and legend.x1 <= figure.bbox.x1
    assert not any(ax.get_tightbbox().overlaps(legend) for ax in figure.axes)


def test_history_needs_a_trained_model():
    adata = make_counts(60)
    ACTIVA.setup_anndata(adata)
    with pytest.raises(ValueError, match="no history: call model.train"):
        pl.history(ACTIVA(adata))
    with pytest.raises(TypeError, match="model must be an ACTIVA"):
        pl.history({"train_loss": pd.DataFrame()})


def test_roc_legend_has_the_mean_areas(tables):
    figure = pl.rf_detection(tables["rf_detection"], return_fig=True)
    texts = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    for name, area in tables["rf_detection"].drop_duplicates(["set", "fold"]).groupby("set")["auc"].mean().items():
        assert any(text.startswith(f"{name}: {area:.3f}") for text in texts)


@pytest.fixture
def times():
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


def test_lines_show_seconds_against_cells(times):
    settings = dict(mpl.rcParams)
    figure = pl.scaling(times, return_fig=True)
    assert isinstance(figure, Figure)
    (ax,) = figure.axes
    assert ax.get_xscale() == ax.get_yscale() == "log"
    for line, column in zip(ax.lines, ("seconds_train", "seconds_per_epoch", "seconds_generate"), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), [100_000, 500_000])
        np.testing.assert_array_equal(line.get_ydata(), times[column][::-1])
    assert ax.get_ylim() == (1, 10_000)
    figure.draw_without_rendering()
    assert [label.get_text() for label in ax.get_xticklabels()] == ["100,000", "500,000"]
    assert {"1", "10", "100", "1,000", "10,000"} <= {label.get_text() for label in ax.get_yticklabels()}
    assert ax.get_legend().get_texts()[2].get_text() == "generating 1,000 cells"
    assert dict(mpl.rcParams) == settings


def test_configurations_have_lines_of_their_own(times):
    ax = pl.scaling(pd.concat([times, times.assign(configuration="paper")]), show=False)
    assert len({(line.get_color(), line.get_linestyle()) for line in ax.lines}) == len(ax.lines) == 6
    assert ax.lines[0].get_label() == "training (default)" and ax.lines[3].get_label() == "training (paper)"
