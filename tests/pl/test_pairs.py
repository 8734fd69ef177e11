"""What the plots of real and synthetic cells show."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from scipy.sparse import csr_matrix
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix
from tests_helpers import make_counts

from activa import metrics, pl
from activa.data import log_normalize
from activa.pl._colors import type_colors

REAL, SYNTHETIC = "#0072b2", "#e69f00"
KEY = {"labels_key": "cell_type", "return_fig": True}


@pytest.fixture(scope="module")
def sets():
    real, synthetic = make_counts(150, seed=1), make_counts(120, seed=2)
    # in another order, as it may be
    return real, synthetic[:, ::-1].copy()


@pytest.fixture(scope="module")
def forty():
    """Two sets of forty types with long names, which have marker genes."""
    made = []
    for seed, n_cells in enumerate((120, 80)):
        labels = np.arange(n_cells) % 40
        rate = np.where(np.arange(80) // 2 == labels[:, None], 9, 0.5)
        adata = ad.AnnData(csr_matrix(np.random.default_rng(seed).poisson(rate).astype(np.float32)))
        adata.obs["cell_type"] = pd.Categorical([f"a rather long type name {label:02}" for label in labels])
        made.append(adata)
    return made


def in_order(sets):
    """Dense counts of both, with the genes of the first."""
    return [adata[:, sets[0].var_names].X.toarray() for adata in sets]


def without_counts(adata, cells, genes):
    """A copy, with zeros for these cells and genes."""
    adata, counts = adata.copy(), adata.X.toarray()
    counts[cells, genes] = 0
    adata.X = csr_matrix(counts)
    return adata


def points(ax, color):
    """All points of a color, sorted."""
    drawn = [np.asarray(c.get_offsets()) for c in ax.collections if to_hex(c.get_facecolor()[0]) == color]
    return np.array(sorted(map(tuple, np.concatenate(drawn))))


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
def test_a_violin_a_type_and_set_has_a_line_at_its_median(name, sets):
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


def test_marker_genes_can_be_given(sets):
    (ax,) = pl.markers(*sets, labels_key="cell_type", genes={"T": ["gene_11", "gene_2"]}, show=False)
    assert ax.get_title() == "T" and [label.get_text() for label in ax.get_xticklabels()] == ["gene_11", "gene_2"]
    # gene_2 is high in B, gene_12 in T cells
    panels = pl.markers(*sets, labels_key="cell_type", genes=["gene_12", "gene_2"], show=False)
    assert {ax.get_title(): ax.get_xticklabels()[0].get_text() for ax in panels} == {"B": "gene_2", "T": "gene_12"}


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
    figure = pl.correlation(*sets, n_markers=3, **KEY)
    genes = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    log_expression = log_normalize(csr_matrix(in_order(sets)[0]))
    expected = sets[0].var_names[metrics.top_markers(log_expression, sets[0].obs["cell_type"], n_markers=3)]
    assert sorted(genes) == sorted(expected)
    without = pl.correlation(*sets, return_fig=True)
    assert sorted(label.get_text() for label in without.axes[0].get_xticklabels()) == sorted(sets[0].var_names)


def test_confusion_is_of_the_classifier_that_label_fidelity_has(sets):
    synthetic = sets[1].copy()
    asked = synthetic.obs["cell_type"].astype(str).to_numpy()
    asked[:20] = "unknown"
    synthetic.obs["cell_type"] = asked
    synthetic = synthetic[asked != "NK"].copy()
    ax = pl.confusion(sets[0], synthetic, labels_key="cell_type", show=False)
    shares = ax.images[0].get_array()
    assert [label.get_text() for label in ax.get_yticklabels()] == ["B", "NK", "T", "unknown"]
    assert shares.mask[1].all() and not shares.mask[[0, 2, 3]].any()
    np.testing.assert_allclose(shares[[0, 2, 3]].sum(axis=1), 1)

    cells = [log_normalize(csr_matrix(x)) for x in in_order((sets[0], synthetic))]
    # of 40 genes all are the variable ones, and 40 components are all there are
    pca = PCA(40, random_state=0).fit(cells[0].toarray())
    components = [pca.transform(x.toarray()) for x in cells]
    scale = components[0].std(axis=0).max()
    classifier = LogisticRegression(C=10, max_iter=5000, random_state=0)
    predicted = classifier.fit(components[0] / scale, sets[0].obs["cell_type"]).predict(components[1] / scale)
    labels = ["B", "NK", "T", "unknown"]
    expected = confusion_matrix(synthetic.obs["cell_type"], predicted, labels=labels, normalize="true")
    np.testing.assert_allclose(shares[[0, 2, 3]], expected[[0, 2, 3]])
    accuracy = metrics.label_fidelity(
        components[0], sets[0].obs["cell_type"], components[1], synthetic.obs["cell_type"]
    )
    assert ax.get_title() == f"{accuracy:.1%} of {synthetic.n_obs} cells recognized"
    numbers = {tuple(map(round, text.get_position()))[::-1]: text.get_text() for text in ax.texts}
    assert numbers == {at: f"{share:.2f}" for at, share in np.ndenumerate(expected) if share >= 0.005}


def test_a_panel_a_type_has_its_cells_in_front_of_all(sets):
    panels = pl.umap_per_type(*sets, labels_key="cell_type", types=["T", "NK"], show=False)
    assert [ax.get_title() for ax in panels] == ["T", "NK"]
    for ax in panels:
        assert len(ax.collections[0].get_offsets()) == 270
        for adata, color in zip(sets, (REAL, SYNTHETIC), strict=True):
            assert len(points(ax, color)) == (adata.obs["cell_type"] == ax.get_title()).sum()


def test_types_have_their_own_colors_everywhere(sets):
    real, synthetic = (adata.copy() for adata in sets)
    own = {"B": "#123456", "NK": "#654321", "T": "#abcdef"}
    for adata in (real, synthetic):
        adata.uns["cell_type_colors"] = list(own.values())
    synthetic.uns["cell_type_colors"] = ["#000000"] * 3
    assert type_colors(own, "cell_type", real, synthetic) == own
    figure = pl.umap(real, synthetic, **KEY)
    shown = {to_hex(color) for ax in figure.axes[:2] for color in ax.collections[-1].get_facecolor()}
    assert shown == set(own.values())
    # those of synthetic cells where real ones have none, and scanpy's where neither has any that can be used
    del real.uns["cell_type_colors"]
    assert set(type_colors(own, "cell_type", real, synthetic).values()) == {"#000000"}
    for useless in (["red"], ["red", "blue", "no color"], "red"):
        synthetic.uns["cell_type_colors"] = useless
        assert type_colors(own, "cell_type", real, synthetic)["B"] == "#1f77b4"
    # a type that has none gets one that no other has
    real.uns["cell_type_colors"] = ["#1f77b4", "#ff7f0e", "#279e68"]
    colors = type_colors([*own, "new"], "cell_type", real, synthetic)
    assert len(set(colors.values())) == 4 and colors["B"] == "#1f77b4"


@pytest.mark.parametrize("name", ["confusion", "library_size", "correlation", "markers"])
def test_forty_types_fit(name, forty):
    figure = getattr(pl, name)(*forty, **KEY)
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


def test_bad_input_is_refused(sets):
    real, synthetic = sets
    key = {"labels_key": "cell_type"}
    for name, wrong, error, match in [
        ("dropout", {"layer": "counts"}, KeyError, "layer 'counts' is not in real.layers"),
        ("library_size", {"labels_key": "type"}, KeyError, "labels_key 'type' is not in real.obs"),
        ("genes_per_cell", {"normalized": True}, ValueError, "whole counts, but normalized=True"),
        ("umap_per_type", key | {"types": ["X"]}, ValueError, "types .'X'. are in neither set"),
        ("umap_per_type", key | {"types": []}, ValueError, "types is empty"),
        ("markers", key | {"genes": ["X"]}, KeyError, "genes .'X'. are not in var_names"),
        ("markers", key | {"genes": {"X": ["gene_1"]}}, ValueError, "types .'X'. that real has not"),
        ("markers", key | {"genes": {}}, ValueError, "no genes to plot"),
        ("markers", key | {"n_genes": 0}, ValueError, "n_genes must be at least 1"),
        ("correlation", {"genes": ["gene_1"]}, ValueError, "there are 1 genes"),
        ("correlation", key | {"n_markers": 0}, ValueError, "n_markers must be at least 1"),
    ]:
        with pytest.raises(error, match=match):
            getattr(pl, name)(real, synthetic, **wrong)
    with pytest.raises(ValueError, match="real has one type"):
        pl.confusion(real[real.obs["cell_type"] == "T"], synthetic, **key)
    with pytest.raises(ValueError, match="synthetic has no cells"):
        pl.dropout(real, synthetic[:0])
    with pytest.raises(ValueError, match="synthetic must have the genes of real"):
        pl.mean_variance(real, synthetic[:, :5])
    empty = without_counts(synthetic, slice(None), slice(None))
    for name in ("dropout", "mean_variance", "library_size", "genes_per_cell"):
        with pytest.raises(ValueError, match="synthetic has no counts"):
            getattr(pl, name)(real, empty)
