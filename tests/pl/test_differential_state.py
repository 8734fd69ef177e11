import io

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from activa.pl import differential_state

SHARES = {("held out", "B"): 1.0, ("held out", "T"): 0.9, ("ACTIVA", "B"): 0.7}


def make(shares, n_genes=10):
    rows = [
        {"set": name, "type": label, "gene": f"gene{i}", "differential": i >= round(share * n_genes)}
        for (name, label), share in shares.items()
        for i in range(n_genes)
    ]
    return pd.DataFrame(rows)


def test_a_dot_shows_the_share_of_genes_without():
    settings = dict(mpl.rcParams)
    figure = differential_state(make(SHARES), return_fig=True)
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
    figure = differential_state(make(shares), return_fig=True)
    figure.savefig(io.BytesIO(), dpi=50)
    labels = [label.get_window_extent() for label in figure.axes[0].get_yticklabels()]
    assert all(a.y0 > b.y1 for a, b in zip(labels, labels[1:], strict=False))
    assert min(label.x0 for label in labels) >= 0


def test_bad_tables_are_refused():
    table = make(SHARES)
    with pytest.raises(ValueError, match="table lacks .'differential'."):
        differential_state(table.drop(columns="differential"))
    with pytest.raises(ValueError, match="no rows"):
        differential_state(table[:0])
    with pytest.raises(TypeError, match="DataFrame"):
        differential_state(None)
