"""What the plots of scores, of a training and of times show, as numbers."""

import io

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure
from tests_helpers import make_counts

from activa import ACTIVA, pl
from activa.metrics import METRICS
from activa.train import Hinge


def make(**values):
    """A table of metrics from value, floor, best and deviation; intervals reach two standard errors."""
    table = pd.DataFrame.from_dict(values, orient="index", columns=["value", "floor", "best", "deviation"])
    error = ((table["value"] - table["floor"]) / table["deviation"]).abs()
    for name, column in (("", "value"), ("floor_", "floor")):
        table[f"{name}low"], table[f"{name}high"] = table[column] - 2 * error, table[column] + 2 * error
    table["judgment"] = np.where(table["deviation"].abs() > 3.6, "unlike real", "as real")
    return table.rename_axis("metric")


TABLE = make(
    rf_auc=(0.75, 0.5, 0.5, 25.0),
    mmd=(0.01, 0.02, 0.0, -1.0),  # nearer than other real cells
    wasserstein=(12.0, 13.0, 13.0, -5.0),  # cells that vary too little
    mixing=(0.45, 0.9, 0.9, -9.0),
    label_fidelity=(1.0, 0.8, 0.8, 4.0),
    copy_ratio=(0.9, 1.0, 1.0, -2.0),
    mmd_per_type=(np.nan, np.nan, 0.0, np.nan),
)
EXPECTED = {
    "rf_auc": 25,
    "mmd": -1,
    "mmd_per_type": np.nan,
    "wasserstein": 5,
    "mixing": 9,
    "label_fidelity": 4,
    "copy_ratio": 2,
}


def dots(ax, marker_area=34):
    return [
        c
        for c in ax.collections
        if isinstance(c, PathCollection) and c.get_sizes()[0] == marker_area and len(c.get_offsets())
    ]


def test_worse_is_right_and_unlike_real_is_filled():
    ax = pl.metrics(TABLE.assign(refit=TABLE["floor"]), show=False)
    names = [label.get_text() for label in ax.get_yticklabels()]
    order = [name for name in METRICS if name in TABLE.index]
    assert [name.removesuffix(" *") for name in names] == order == list(EXPECTED)
    assert [name.endswith("*") for name in names] == [METRICS[name].two_sided for name in order]
    (shown,) = dots(ax)
    at = {order[round(y)]: x for x, y in np.ma.filled(shown.get_offsets(), np.nan) if not np.isnan(x)}
    assert at == pytest.approx({name: x for name, x in EXPECTED.items() if not np.isnan(x)})
    filled = {
        order[round(y)]
        for (_, y), color in zip(np.ma.filled(shown.get_offsets(), np.nan), shown.get_facecolors(), strict=True)
        if color[2] < 1
    }
    assert filled == set(TABLE.index[TABLE["judgment"] == "unlike real"])
    intervals = next(c for c in ax.collections if isinstance(c, LineCollection)).get_segments()
    ends = {
        order[round(line[0, 1])]: sorted(line[:, 0]) for line in intervals if len(line) and not np.isnan(line).any()
    }
    assert ends == {name: pytest.approx([x - 2, x + 2]) for name, x in EXPECTED.items() if not np.isnan(x)}
    bars = {
        order[round(bar.get_y() + bar.get_height() / 2)]: bar
        for bar in ax.patches
        if abs(bar.get_width()) > 1 and bar.get_height() < 1 and bar.get_facecolor()[0] < 0.8
    }
    for name in ("rf_auc", "mixing"):
        assert sorted((bars[name].get_x(), bars[name].get_x() + bars[name].get_width())) == pytest.approx([-2, 2])
    (refit,) = dots(ax, 50)
    assert np.ma.compressed(refit.get_offsets()[:, 0]) == pytest.approx(0)
    assert ax.lines[0].get_xdata() == [0, 0]
    assert 3 < ax.lines[1].get_xdata()[0] < 4


def test_what_is_too_far_stands_at_the_end():
    ax = pl.metrics(TABLE[:1].assign(deviation=np.inf), show=False)
    assert dots(ax)[0].get_offsets()[0, 0] == 1000


def test_generators_have_a_marker_each_in_every_row():
    tables = {f"a generator with a rather long name {i}": TABLE for i in range(7)}
    figure = pl.metrics(tables, return_fig=True)
    figure.savefig(io.BytesIO(), dpi=50)
    (ax,) = figure.axes
    shown = dots(ax)
    assert len({tuple(map(tuple, c.get_paths()[0].vertices)) for c in shown}) == len(shown) == 7
    for c in shown:
        rows = c.get_offsets()[:, 1].compressed()
        assert set(np.rint(rows)) == {i for i, x in enumerate(EXPECTED.values()) if not np.isnan(x)}
    legend = ax.get_legend().get_window_extent()
    assert legend.x0 >= 0 and legend.x1 <= figure.bbox.x1
    assert not ax.get_window_extent().overlaps(legend)
    joined = pl.metrics(pd.concat(tables, names=["generator", "metric"]), show=False)
    for one, other in zip(dots(joined), shown, strict=True):
        np.testing.assert_array_equal(one.get_offsets(), other.get_offsets())


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
