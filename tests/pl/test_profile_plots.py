"""What the plots of the facts of cells show."""

import io

import numpy as np
import pytest
from matplotlib.colors import to_hex
from plots_helpers import REAL, SYNTHETIC, in_order, without_counts
from tests_helpers import make_counts

from activa import pl


def family(adata):
    """The same cells, with four mitochondrial genes."""
    adata = adata.copy()
    adata.var_names = [
        name.replace("gene_3", "MT-") if name in {f"gene_3{i}" for i in range(4)} else name for name in adata.var_names
    ]
    return adata


def test_lines_are_medians_of_cells_of_like_depth(sets):
    figure = pl.cell_profiles(*map(family, sets), return_fig=True)
    assert len(figure.axes) == 5
    facts = figure.axes[0], figure.axes[2], figure.axes[4]  # genes, ones and mitochondrial counts
    for counts, color, n_bins, mito in zip(in_order(sets), (REAL, SYNTHETIC), (7, 6), (30, 30), strict=True):
        depth = counts.sum(axis=1)
        values = (
            (counts > 0).sum(axis=1),
            (counts == 1).sum(axis=1) / (counts > 0).sum(axis=1),
            counts[:, mito : mito + 4].sum(axis=1) / depth,
        )
        for ax, x in zip(facts, values, strict=True):
            bins = np.array_split(np.argsort(depth, kind="stable"), n_bins)
            (line,) = [line for line in ax.lines if to_hex(line.get_color()) == color]
            np.testing.assert_allclose(line.get_xdata(), [np.median(depth[cells]) for cells in bins], rtol=1e-6)
            np.testing.assert_allclose(line.get_ydata(), [np.median(x[cells]) for cells in bins], rtol=1e-6)
            (band,) = [c for c in ax.collections if to_hex(c.get_facecolor()[0]) == color]
            reach = band.get_datalim(ax.transData)
            assert reach.y1 == pytest.approx(max(np.quantile(x[cells], 0.9) for cells in bins), rel=1e-6)


def test_each_generator_has_a_row_and_a_name():
    real, others = make_counts(150, seed=1), {f"generator number {i}": make_counts(60 + i, seed=i) for i in range(2, 8)}
    figure = pl.cell_profiles(real, others, return_fig=True)
    figure.savefig(io.BytesIO(), dpi=50)
    assert len(figure.axes) == 6 * 4
    assert [ax.get_ylabel() for ax in figure.axes[::4]] == list(others)
    assert len({to_hex(ax.lines[1].get_color()) for ax in figure.axes}) == 6
    legend = figure.legends[0].get_window_extent()
    assert legend.x0 >= 0 and legend.x1 <= figure.bbox.x1
    assert not any(ax.get_tightbbox().overlaps(legend) for ax in figure.axes)
    with pytest.raises(ValueError, match="at most 6 generators, got 7"):
        pl.cell_profiles(real, others | {"one more": real})


def test_cells_without_counts_are_left_out_and_few_cells_are_a_point(sets):
    few = without_counts(sets[0][:12], slice(0, 3), slice(None))
    ax = pl.cell_profiles(sets[0], few, show=False)[0]
    line = ax.lines[1]
    assert len(line.get_xdata()) == 1 and line.get_marker() == "o"
    assert line.get_xdata()[0] == np.median(in_order((sets[0], few))[1][3:].sum(axis=1))
    with pytest.raises(ValueError, match="real has no counts"):
        pl.cell_profiles(without_counts(sets[0], slice(None), slice(None)), few)
