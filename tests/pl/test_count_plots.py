"""What the plots of counts show."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from plots_helpers import REAL, SYNTHETIC, in_order, points, without_counts

from activa import pl


def test_dropout_shows_each_genes_mean_and_share_of_zeros(sets):
    ax = pl.dropout(*sets, show=False)
    for counts, color in zip(in_order(sets), (REAL, SYNTHETIC), strict=True):
        expected = np.array(sorted(zip(counts.mean(axis=0), (counts == 0).mean(axis=0), strict=True)))
        np.testing.assert_allclose(points(ax, color), expected, rtol=1e-6)
    (poisson,) = ax.lines
    np.testing.assert_allclose(poisson.get_ydata(), np.exp(-poisson.get_xdata()))
    assert ax.get_xscale() == "log"


def test_mean_variance_shows_each_genes_moments(sets):
    silent = sets[0], without_counts(sets[1], slice(None), sets[1].var_names == "gene_3")
    ax = pl.mean_variance(*silent, show=False)
    for counts, color in zip(in_order(silent), (REAL, SYNTHETIC), strict=True):
        varying = counts.astype(float)[:, counts.any(axis=0)]
        expected = np.array(sorted(zip(varying.mean(axis=0), varying.var(axis=0), strict=True)))
        np.testing.assert_allclose(points(ax, color), expected, rtol=1e-6)
    assert len(points(ax, SYNTHETIC)) == 39
    assert np.array_equal(*ax.lines[0].get_data()) and ax.get_xscale() == ax.get_yscale() == "log"


@pytest.mark.parametrize("name", ["library_size", "genes_per_cell"])
def test_histograms_show_shares_of_cells(name, sets):
    emptied = without_counts(sets[0], np.arange(150) < 3, slice(None)), sets[1]
    ax = getattr(pl, name)(*emptied, show=False)
    # from the lower left corner of the first bar to the lower right one of the last
    outlines = [patch.get_xy()[: 2 * 41] for patch in ax.patches]
    for counts, outline in zip(in_order(emptied), outlines, strict=True):
        numbers = counts.sum(axis=1) if name == "library_size" else (counts > 0).sum(axis=1)
        expected = np.histogram(numbers, outline[::2, 0])[0] / len(numbers)
        np.testing.assert_allclose(outline[1:-1:2, 1], expected)
        assert expected.sum() == pytest.approx((numbers > 0).mean())
    texts = {text.get_text() for text in ax.get_legend().get_texts()}
    assert texts == {"real (150 cells, 3 empty ones not shown)", "synthetic (120 cells)"}


@pytest.mark.parametrize("name", ["library_size", "genes_per_cell"])
def test_each_violin_has_a_line_at_its_median(name, sets):
    ax = getattr(pl, name)(*sets, labels_key="cell_type", show=False)
    types = [label.get_text() for label in ax.get_yticklabels()]
    assert types == ["B", "NK", "T"]
    medians = [line.get_xdata()[0] for line in ax.lines]
    numbers = [x.sum(axis=1) if name == "library_size" else (x > 0).sum(axis=1) for x in in_order(sets)]
    of_sets = [
        pd.Series(x).groupby(np.asarray(adata.obs["cell_type"])).median()
        for x, adata in zip(numbers, sets, strict=True)
    ]
    np.testing.assert_allclose(medians, np.column_stack(of_sets).ravel())
    # real cells are above, on the side of lower rows
    np.testing.assert_allclose([line.get_ydata() for line in ax.lines[::2]], [[row, row - 0.45] for row in range(3)])
    assert [to_hex(body.get_facecolor()[0]) for body in ax.collections] == [REAL, SYNTHETIC] * 3


def test_several_generators_are_beside_the_real_cells(sets):
    real, synthetic = sets
    generators = {"ACTIVA": synthetic, "held out": real[::2]}
    every = {"real": real} | generators
    for name in ("dropout", "mean_variance"):
        ax = getattr(pl, name)(real, generators, show=False)
        assert list(points(ax, REAL)[0]) == list(points(getattr(pl, name)(*sets, show=False), REAL)[0])
        assert [len(points(ax, color)) for color in (REAL, SYNTHETIC, "#009e73")] == [40] * 3
        assert len({c.get_paths()[0].vertices.tobytes() for c in ax.collections}) == 3, "markers"
    for name in ("library_size", "genes_per_cell"):
        ax = getattr(pl, name)(real, generators, show=False)
        texts = [text.get_text() for text in ax.get_legend().get_texts()]
        assert texts == [f"{key} ({adata.n_obs} cells)" for key, adata in every.items()]
        with pytest.raises(ValueError, match="one generator to be shown by labels_key, got .'ACTIVA', 'held out'."):
            getattr(pl, name)(real, generators, labels_key="cell_type")
    ax = pl.library_size(real, {"ACTIVA": synthetic}, labels_key="cell_type", show=False)
    assert ax.get_legend().get_texts()[1].get_text() == "ACTIVA, below (120 cells)"
    with pytest.raises(ValueError, match="at most 6 generators, got 7"):
        pl.dropout(real, dict.fromkeys("abcdefg", synthetic))


def test_dropout_curves_are_the_fits_beside_that_of_real_cells(tables):
    table = tables["dropout_curve"]
    axes = pl.dropout_curve(table, show=False)
    fits = {name: rows.sort_values("mean")["fit"].to_numpy() for name, rows in table.groupby("set", sort=False)}
    for ax, (name, fit) in zip(axes, fits.items(), strict=True):
        own, *real = ax.lines
        np.testing.assert_array_equal(own.get_ydata(), fit)
        assert len(real) == (name != "real")
        for line in real:
            np.testing.assert_array_equal(line.get_ydata(), fits["real"])
        shown = np.asarray(ax.collections[0].get_offsets())
        rows = table[table["set"] == name].sort_values("mean")
        np.testing.assert_array_equal(shown, rows[["mean", "dropout"]])


def test_bad_input_is_refused(sets):
    real, synthetic = sets
    for name, wrong, error, match in [
        ("dropout", {"layer": "counts"}, KeyError, "layer 'counts' is not in real.layers"),
        ("library_size", {"labels_key": "type"}, KeyError, "labels_key 'type' is not in real.obs"),
        ("genes_per_cell", {"normalized": True}, ValueError, "whole counts, but normalized=True"),
    ]:
        with pytest.raises(error, match=match):
            getattr(pl, name)(real, synthetic, **wrong)
    with pytest.raises(ValueError, match="synthetic has no cells"):
        pl.dropout(real, synthetic[:0])
    with pytest.raises(ValueError, match="synthetic must have the genes of real"):
        pl.mean_variance(real, synthetic[:, :5])
    empty = without_counts(synthetic, slice(None), slice(None))
    for name in ("dropout", "mean_variance", "library_size", "genes_per_cell"):
        with pytest.raises(ValueError, match="synthetic has no counts"):
            getattr(pl, name)(real, empty)
