"""What the plots of genes show."""

import numpy as np
import pytest
from plots_helpers import in_order
from scipy.sparse import csr_matrix

from activa import metrics, pl
from activa.data import log_normalize


def test_markers_are_the_real_cells_and_their_medians_both_sets(sets):
    panels = pl.markers(*sets, labels_key="cell_type", n_genes=2, show=False)
    real, synthetic = (log_normalize(csr_matrix(x)).toarray() for x in in_order(sets))
    shown = {ax.get_title(): [label.get_text() for label in ax.get_xticklabels()] for ax in panels}
    assert list(shown) == ["B", "NK", "T"]
    of_all = sets[0].var_names[metrics.top_markers(real, sets[0].obs["cell_type"], n_markers=2)]
    assert {gene for genes in shown.values() for gene in genes} == set(of_all)
    for ax in panels:
        at = sets[0].var_names.get_indexer(shown[ax.get_title()])
        expected = [
            np.median(x[np.asarray(adata.obs["cell_type"]) == ax.get_title()][:, at], axis=0)
            for x, adata in zip((real, synthetic), sets, strict=True)
        ]
        drawn = np.array([line.get_ydata()[0] for line in ax.lines])
        np.testing.assert_allclose(drawn, np.concatenate(expected), rtol=1e-6)


def test_a_median_of_zero_is_above_the_axis_and_few_cells_are_points(sets):
    real, synthetic = sets
    few = synthetic[np.concatenate([np.flatnonzero(synthetic.obs["cell_type"] == label)[:9] for label in ("B", "T")])]
    panels = pl.markers(real, few, labels_key="cell_type", genes={"B": ["gene_12"], "T": ["gene_12"]}, show=False)
    for ax in panels:
        assert ax.get_ylim()[0] < 0
        shown, expected = ax.collections[-1].get_offsets()[:, 1], few[few.obs["cell_type"] == ax.get_title(), "gene_12"]
        assert len(shown) == 9 and ((shown > 0) == (expected.X.toarray().ravel() > 0)).all()


def test_marker_genes_can_be_given(sets):
    (ax,) = pl.markers(*sets, labels_key="cell_type", genes={"T": ["gene_11", "gene_2"]}, show=False)
    assert ax.get_title() == "T" and [label.get_text() for label in ax.get_xticklabels()] == ["gene_11", "gene_2"]
    # gene_2 is high in B, gene_12 in T cells
    panels = pl.markers(*sets, labels_key="cell_type", genes=["gene_12", "gene_2"], show=False)
    assert {ax.get_title(): ax.get_xticklabels()[0].get_text() for ax in panels} == {"B": "gene_2", "T": "gene_12"}


def test_each_violin_stands_at_its_sets_median(tables):
    table = tables["marker_expression"]
    figure = pl.marker_expression(table, return_fig=True)
    for ax, (_, rows) in zip(figure.axes, table.groupby("type", sort=False), strict=True):
        shown = sorted(line.get_ydata()[0] for line in ax.lines)
        assert np.allclose(shown, sorted(rows.groupby(["set", "gene"])["expression"].median()))


def test_correlations_are_pearsons_in_one_order(sets):
    genes = ["gene_11", "gene_0", "gene_12", "gene_1"]
    figure = pl.correlation(*sets, genes=genes, return_fig=True)
    real, synthetic, bar = figure.axes
    at = sets[0].var_names.get_indexer(genes)
    largest = 0
    for ax, counts in zip((real, synthetic), in_order(sets), strict=True):
        expected = np.corrcoef(log_normalize(csr_matrix(counts)).toarray()[:, at].T.astype(float))
        np.testing.assert_allclose(ax.images[0].get_array(), expected, atol=1e-6)
        largest = max(largest, np.abs(expected - np.eye(4)).max())
        assert [label.get_text() for label in ax.get_xticklabels()] == genes
    np.testing.assert_allclose(real.images[0].get_clim(), (-largest, largest), rtol=1e-6)
    assert real.images[0].get_clim() == synthetic.images[0].get_clim()
    assert bar.get_ylabel() == "Pearson correlation"


def test_correlations_are_of_the_markers_or_of_variable_genes_each_once(sets):
    figure = pl.correlation(*sets, n_markers=3, labels_key="cell_type", return_fig=True)
    genes = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    log_expression = log_normalize(csr_matrix(in_order(sets)[0]))
    expected = sets[0].var_names[metrics.top_markers(log_expression, sets[0].obs["cell_type"], n_markers=3)]
    assert sorted(genes) == sorted(expected)
    without = pl.correlation(*sets, return_fig=True)
    assert sorted(label.get_text() for label in without.axes[0].get_xticklabels()) == sorted(sets[0].var_names)


def test_types_of_the_markers_are_named_beside_the_second_heat_map(sets):
    figure = pl.correlation(*sets, n_markers=3, labels_key="cell_type", return_fig=True)
    figure.draw_without_rendering()
    (right,) = figure.axes[1].child_axes
    assert [label.get_text() for label in right.get_yticklabels()] == ["B", "NK", "T"]
    assert len(figure.axes[0].lines) == len(figure.axes[1].lines) == 4
    assert all(label.get_fontsize() >= 7 for label in figure.axes[0].get_xticklabels())
    assert not right.get_tightbbox().overlaps(figure.axes[2].get_tightbbox())


def test_heat_maps_are_the_matrices(tables):
    table = tables["correlation_discrepancy"]
    figure = pl.correlation_discrepancy(table, return_fig=True)
    for ax, (_, rows) in zip(figure.axes, table.groupby("set", sort=False), strict=False):
        assert np.array_equal(ax.images[0].get_array().ravel(), rows["correlation"])


def test_bad_input_is_refused(sets):
    key = {"labels_key": "cell_type"}
    for name, wrong, error, match in [
        ("markers", key | {"genes": ["X"]}, KeyError, "genes must be in var_names .* got .'X'."),
        ("markers", key | {"genes": {"X": ["gene_1"]}}, ValueError, "genes must name types of real, got .'X'."),
        ("markers", key | {"genes": {}}, ValueError, "genes must name at least one gene"),
        ("markers", key | {"n_genes": 0}, ValueError, "n_genes must be at least 1"),
        ("correlation", {"genes": ["gene_1"]}, ValueError, "genes must be at least 2"),
        ("correlation", key | {"n_markers": 0}, ValueError, "n_markers must be at least 1"),
    ]:
        with pytest.raises(error, match=match):
            getattr(pl, name)(*sets, **wrong)
