"""What the plots of types show."""

import io
import warnings

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from scipy.stats import t

from activa import metrics, pl
from activa.experiments.rare_types import METHODS

SUMMARIES = ["accuracy", "macro average", "weighted average"]
SHARES = {("held out", "B"): 1.0, ("held out", "T"): 0.9, ("ACTIVA", "B"): 0.7}


def test_confusion_is_what_label_fidelity_measures(sets):
    synthetic = sets[1].copy()
    asked = synthetic.obs["cell_type"].astype(str).to_numpy()
    asked[:20] = "unknown"
    synthetic.obs["cell_type"] = asked
    synthetic = synthetic[asked != "NK"].copy()
    figure = pl.confusion(sets[0], synthetic, labels_key="cell_type", seed=3, return_fig=True)
    left, right, _ = figure.axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["B", "NK", "T", "unknown"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # types are not in the real proportions
        table = metrics.evaluate(sets[0], synthetic, labels_key="cell_type", metrics="label_fidelity", seed=3)
    assert left.get_title() == f"Real cells ({table.loc['label_fidelity', 'floor']:.3f} recognized)"
    assert right.get_title() == f"Synthetic cells ({table.loc['label_fidelity', 'value']:.3f} recognized)"
    types = metrics.evaluate_types(sets[0], synthetic, labels_key="cell_type", seed=3)
    for ax, column, gray in ((left, "recognized_real", ["unknown"]), (right, "recognized", ["NK"])):
        shares = ax.images[0].get_array()
        is_gray = types.index.isin(gray)
        assert shares.mask[is_gray].all() and not shares.mask[~is_gray].any()
        np.testing.assert_allclose(shares[~is_gray].sum(axis=1), 1)
        np.testing.assert_allclose(np.diag(shares)[~is_gray], types[column][~is_gray])
        numbers = {tuple(map(round, text.get_position()))[::-1]: text.get_text() for text in ax.texts}
        assert numbers == {at: f"{share:.2f}" for at, share in np.ndenumerate(shares.filled(0)) if share >= 0.005}


def test_a_classifier_needs_two_types(sets):
    with pytest.raises(ValueError, match="real must have at least two types"):
        pl.confusion(sets[0][sets[0].obs["cell_type"] == "T"], sets[1], labels_key="cell_type")


def make_report(types, of_test=None):
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
    table, settings = make_report(["NK", "B", "T"], ["B", "T"]), dict(mpl.rcParams)
    figure = pl.classifier_report(table, return_fig=True)
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


def test_nineteen_types_fit_a_report():
    figure = pl.classifier_report(make_report([f"a rather long type name {i:02}" for i in range(19)]), return_fig=True)
    figure.savefig(io.BytesIO(), dpi=50)
    labels = [label.get_window_extent() for label in figure.axes[0].get_yticklabels()]
    assert all(a.y0 > b.y1 for a, b in zip(labels, labels[1:], strict=False))
    assert min(label.x0 for label in labels) >= 0
    cell = figure.axes[0].transData.transform([(0, 0), (1, 1)])
    widest = max(text.get_window_extent().width for text in figure.axes[0].texts)
    assert widest < cell[1, 0] - cell[0, 0]


def make_states(shares, n_genes=10):
    rows = [
        {"set": name, "type": label, "gene": f"gene{i}", "differential": i >= round(share * n_genes)}
        for (name, label), share in shares.items()
        for i in range(n_genes)
    ]
    return pd.DataFrame(rows)


def test_a_dot_shows_the_share_of_genes_without():
    settings = dict(mpl.rcParams)
    figure = pl.differential_state(make_states(SHARES), return_fig=True)
    assert isinstance(figure, Figure)
    (ax,) = figure.axes
    floor, made = (np.asarray(dots.get_offsets()) for dots in ax.collections)
    np.testing.assert_allclose(floor[:, 0], [1.0, 0.9])
    np.testing.assert_allclose(made[:, 0], [0.7])
    # each dot is nearest to the name of its type
    assert [label.get_text() for label in ax.get_yticklabels()] == ["B", "T"]
    assert list(np.rint(floor[:, 1])) == [0, 1] and list(np.rint(made[:, 1])) == [0]
    assert {to_hex(dots.get_facecolor()[0]) for dots in ax.collections} == {"#e69f00", "#009e73"}
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend == ["held out (mean 95.0%)", "ACTIVA (mean 70.0%)"]
    assert ax.get_xlim()[0] < 0.7 and ax.get_xlim()[1] > 1
    assert dict(mpl.rcParams) == settings


def test_nineteen_types_and_three_sets_fit():
    shares = {(name, f"a rather long type name {i:02}"): 0.5 for name in ("one", "two", "three") for i in range(19)}
    figure = pl.differential_state(make_states(shares), return_fig=True)
    figure.savefig(io.BytesIO(), dpi=50)
    labels = [label.get_window_extent() for label in figure.axes[0].get_yticklabels()]
    assert all(a.y0 > b.y1 for a, b in zip(labels, labels[1:], strict=False))
    assert min(label.x0 for label in labels) >= 0


@pytest.fixture
def f1_table():
    rng = np.random.default_rng(0)
    rows = [
        ("T", kept, seed, method, np.nan if (method, kept) == ("smote", 1) else rng.uniform(0.3, 0.7))
        for kept in (50, 10, 1)
        for seed in range(4)
        for method in METHODS
    ]
    return pd.DataFrame(rows, columns=["label", "kept", "seed", "method", "f1"])


def test_means_and_intervals_are_over_seeds(f1_table):
    settings = dict(mpl.rcParams)
    figure = pl.augmentation(f1_table, return_fig=True)
    assert isinstance(figure, Figure)
    (ax,) = figure.axes
    assert len(ax.containers) == len(METHODS) == len({to_hex(bars[0].get_color()) for bars in ax.containers})
    for bars, method in zip(ax.containers, METHODS, strict=True):
        f1 = f1_table[f1_table["method"] == method].dropna().groupby("kept")["f1"]
        line, _, (errors,) = bars
        np.testing.assert_allclose(line.get_ydata(), f1.mean())
        # a little beside the number, and nearer to it than to any other
        np.testing.assert_allclose(line.get_xdata(), list(f1.groups), rtol=0.1)
        half = t.ppf(0.975, 3) * f1.sem()
        ends = np.array([segment[:, 1] for segment in errors.get_segments()])
        np.testing.assert_allclose(ends, np.clip([f1.mean() - half, f1.mean() + half], 0, 1).T)
    assert len(ax.containers[METHODS.index("smote")][0].get_xdata()) == 2
    assert ax.get_xscale() == "log"
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1", "10", "50"]
    assert ax.get_title() == "T: mean and 95% interval of 4 seeds"
    assert dict(mpl.rcParams) == settings


def test_one_seed_has_no_interval(f1_table):
    ax = pl.augmentation(f1_table[f1_table["seed"] == 2], show=False)
    assert ax.get_title() == "T: one seed"
    for bars in ax.containers:
        assert all(np.ptp(segment[:, 1]) == 0 for segment in bars[2][0].get_segments())


def test_intervals_end_at_what_f1_can_be(f1_table):
    ax = pl.augmentation(f1_table.assign(f1=f1_table["seed"] % 2), show=False)
    ends = np.concatenate([segment[:, 1] for bars in ax.containers for segment in bars[2][0].get_segments()])
    assert ends.min() == 0 and ends.max() == 1


def test_a_method_of_the_caller_has_its_name_in_the_legend(f1_table):
    table = pd.concat([f1_table, f1_table[f1_table["method"] == "none"].assign(method="magic")])
    ax = pl.augmentation(table, show=False)
    assert ax.get_legend().get_texts()[-1].get_text() == "magic" and len(ax.containers) == len(METHODS) + 1


def test_augmentation_needs_one_type(f1_table):
    with pytest.raises(ValueError, match="table lacks .'kept'."):
        pl.augmentation(f1_table.drop(columns="kept"))
    with pytest.raises(ValueError, match="no rows"):
        pl.augmentation(f1_table[:0])
    with pytest.raises(ValueError, match="several types"):
        pl.augmentation(pd.concat([f1_table, f1_table.assign(label="B")]))
    with pytest.raises(ValueError, match="no F1"):
        pl.augmentation(f1_table.assign(f1=np.nan))
