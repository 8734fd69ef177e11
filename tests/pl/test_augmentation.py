import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from scipy.stats import t

from activa.experiments._augmentation import METHODS
from activa.pl import augmentation


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    rows = [
        ("T", kept, seed, method, np.nan if (method, kept) == ("smote", 1) else rng.uniform(0.3, 0.7))
        for kept in (50, 10, 1)
        for seed in range(4)
        for method in METHODS
    ]
    return pd.DataFrame(rows, columns=["label", "kept", "seed", "method", "f1"])


def test_means_and_intervals_are_over_seeds(table):
    settings = dict(mpl.rcParams)
    figure = augmentation(table, return_fig=True)
    assert isinstance(figure, Figure)
    (ax,) = figure.axes
    assert len(ax.containers) == len(METHODS) == len({to_hex(bars[0].get_color()) for bars in ax.containers})
    for bars, method in zip(ax.containers, METHODS, strict=True):
        f1 = table[table["method"] == method].dropna().groupby("kept")["f1"]
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


def test_one_seed_has_no_interval(table):
    ax = augmentation(table[table["seed"] == 2], show=False)
    assert ax.get_title() == "T: one seed"
    for bars in ax.containers:
        assert all(np.ptp(segment[:, 1]) == 0 for segment in bars[2][0].get_segments())


def test_intervals_end_at_what_f1_can_be(table):
    ax = augmentation(table.assign(f1=table["seed"] % 2), show=False)
    ends = np.concatenate([segment[:, 1] for bars in ax.containers for segment in bars[2][0].get_segments()])
    assert ends.min() == 0 and ends.max() == 1


def test_bad_tables_are_refused(table):
    with pytest.raises(ValueError, match="table lacks .'kept'."):
        augmentation(table.drop(columns="kept"))
    with pytest.raises(ValueError, match="no rows"):
        augmentation(table[:0])
    with pytest.raises(ValueError, match="several types"):
        augmentation(pd.concat([table, table.assign(label="B")]))
    with pytest.raises(ValueError, match="unknown methods .'magic'."):
        augmentation(table.assign(method="magic"))
    with pytest.raises(ValueError, match="no F1"):
        augmentation(table.assign(f1=np.nan))
