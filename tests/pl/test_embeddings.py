"""What the embeddings show."""

import io

import anndata as ad
import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from plots_helpers import REAL, SYNTHETIC, points

from activa import pl
from activa.pl import embeddings
from activa.pl.embeddings import umap_coordinates


def simulate(n_cells, seed, n_types):
    profile = np.random.default_rng(1).gamma(0.5, size=(n_types, 60))
    rng = np.random.default_rng(seed)
    labels = np.arange(n_cells) % n_types
    adata = ad.AnnData(rng.poisson(3 * profile[labels]).astype(np.float32))
    adata.obs["cell_type"] = [f"a rather long type name {label:02}" for label in labels]
    return adata


@pytest.fixture
def three_types():
    return simulate(60, 0, 3), simulate(45, 1, 3)


def shown_colors(ax):
    """Colors of the cells in front."""
    return {to_hex(color) for color in ax.collections[-1].get_facecolor()}


def positions(figure):
    return [np.asarray(c.get_offsets()) for ax in figure.axes for c in ax.collections]


def test_panels_show_every_cell_with_the_other_set_behind(three_types):
    figure = pl.umap(*three_types, labels_key="cell_type", return_fig=True)
    assert isinstance(figure, Figure)
    both, real, synthetic = figure.axes
    assert [len(c.get_offsets()) for c in real.collections] == [45, 60]
    assert [len(c.get_offsets()) for c in synthetic.collections] == [60, 45]
    assert sum(len(c.get_offsets()) for c in both.collections) == 105
    assert shown_colors(real) == shown_colors(synthetic)
    assert len(shown_colors(real)) == 3
    assert not shown_colors(real) & {REAL, SYNTHETIC}
    for adata, color in zip(three_types, (REAL, SYNTHETIC), strict=True):
        assert len(points(both, color)) == adata.n_obs


def test_a_type_has_one_color_even_if_one_set_lacks_it(three_types):
    real, synthetic = three_types
    all_types = pl.umap(real, synthetic, labels_key="cell_type", return_fig=True)
    without_first = pl.umap(real, synthetic[np.arange(45) % 3 != 0], labels_key="cell_type", return_fig=True)
    assert shown_colors(without_first.axes[2]) < shown_colors(all_types.axes[2])
    assert shown_colors(without_first.axes[1]) == shown_colors(all_types.axes[1])


def test_without_labels_panels_have_the_colors_of_the_origin(three_types):
    both, real, synthetic = pl.umap(*three_types, show=False)
    assert (shown_colors(real), shown_colors(synthetic)) == ({REAL}, {SYNTHETIC})
    assert {to_hex(c.get_facecolor()[0]) for c in both.collections} == {REAL, SYNTHETIC}


def test_one_umap_serves_both_plots(three_types, monkeypatch):
    real, synthetic = three_types
    coordinates = pl.joint_umap(real, synthetic, seed=3)
    assert [of.shape for of in coordinates] == [(60, 2), (45, 2)]
    computed = positions(pl.umap(real, synthetic, seed=3, return_fig=True))
    monkeypatch.setattr(embeddings, "umap_coordinates", lambda *_: pytest.fail("a UMAP was computed"))
    shared = positions(pl.umap(real, synthetic, coordinates=coordinates, return_fig=True))
    assert all(np.array_equal(a, b) for a, b in zip(shared, computed, strict=True))
    own = real.X[:, :2], synthetic.X[:, :2]
    panels = pl.umap_per_type(real, synthetic, labels_key="cell_type", coordinates=own, show=False)
    for ax in panels:
        assert np.array_equal(ax.collections[0].get_offsets(), np.vstack(own))


def test_coordinates_must_be_those_of_the_cells(three_types):
    real, synthetic = three_types
    first, second = np.zeros((60, 2)), np.zeros((45, 2))
    for wrong, match in [
        ((second, first), r"shapes \[\(60, 2\), \(45, 2\)\], real cells first, got \[\(45, 2\), \(60, 2\)\]"),
        ((first,), "coordinates must be arrays of the shapes"),
        ((first, second * np.nan), "coordinates must be finite"),
    ]:
        with pytest.raises(ValueError, match=match):
            pl.umap(real, synthetic, coordinates=wrong)


@pytest.mark.parametrize("n_types", [2, 20, 35])
def test_legends_cover_nothing(n_types):
    figure = pl.umap(simulate(70, 0, n_types), simulate(70, 1, n_types), labels_key="cell_type", return_fig=True)
    figure.savefig(io.BytesIO(), dpi=50)
    assert len({h.get_color() for h in figure.legends[0].legend_handles}) == n_types
    legend, origins = figure.legends[0].get_window_extent(), figure.axes[0].get_legend().get_window_extent()
    assert figure.bbox.x0 <= legend.x0 < legend.x1 <= figure.bbox.x1
    assert figure.bbox.y0 <= legend.y0 < legend.y1 <= figure.bbox.y1
    for ax in figure.axes:
        assert not ax.get_tightbbox(for_layout_only=True).overlaps(legend)
        assert not ax.get_window_extent().overlaps(origins)
        assert not ax.xaxis.label.get_window_extent().overlaps(origins)


def test_the_seed_decides_and_nothing_else_changes(three_types):
    real, synthetic = three_types
    before, settings = (real.copy(), synthetic.copy()), dict(mpl.rcParams)
    state = np.random.get_state()[1].copy()
    first, second, other = (positions(pl.umap(real, synthetic, seed=seed, return_fig=True)) for seed in (0, 0, 1))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert not np.array_equal(first[0], other[0])
    assert np.array_equal(np.random.get_state()[1], state)
    assert dict(mpl.rcParams) == settings
    for adata, copy in zip(three_types, before, strict=True):
        assert np.array_equal(adata.X, copy.X)
        assert not adata.obsm
        assert not adata.uns


def test_umaps_refuse_bad_input(three_types):
    real, synthetic = three_types
    with pytest.raises(KeyError, match="labels_key 'type' is not in real.obs"):
        pl.umap(real, synthetic, labels_key="type")
    with pytest.raises(ValueError, match="synthetic must have the genes of real"):
        pl.umap(real, synthetic[:, :5])
    with pytest.raises(ValueError, match="at least 5 cells for a UMAP"):
        pl.umap(real[:2], synthetic[:2])


def test_more_cells_than_neighbors_are_searched_exactly_by_default():
    """From 8,192 cells on scanpy takes another search for neighbors."""
    coordinates = umap_coordinates(np.random.default_rng(0).normal(size=(8_300, 2)).astype(np.float32), 5, 0.5, 0)
    assert coordinates.shape == (8_300, 2) and np.isfinite(coordinates).all()


def test_each_panel_has_the_cells_of_its_type_in_front_of_all(sets):
    panels = pl.umap_per_type(*sets, labels_key="cell_type", types=["T", "NK"], show=False)
    assert [ax.get_title() for ax in panels] == ["T", "NK"]
    for ax in panels:
        assert len(ax.collections[0].get_offsets()) == 270
        for adata, color in zip(sets, (REAL, SYNTHETIC), strict=True):
            assert len(points(ax, color)) == (adata.obs["cell_type"] == ax.get_title()).sum()


def test_the_counts_of_a_panel_do_not_touch_the_title_below():
    figure = pl.umap_per_type(simulate(70, 0, 8), simulate(70, 1, 8), labels_key="cell_type", return_fig=True)
    figure.draw_without_rendering()
    counts, below = (figure.axes[0].xaxis.label.get_window_extent(), figure.axes[4].title.get_window_extent())
    assert figure.axes[4].get_position().x0 == pytest.approx(figure.axes[0].get_position().x0)
    assert counts.y0 - below.y1 > 0.4 * counts.height


def test_types_must_be_in_a_set(sets):
    for types, match in (
        (["X"], "types must be in real or synthetic, got .'X'."),
        ([], "types must name at least one"),
    ):
        with pytest.raises(ValueError, match=match):
            pl.umap_per_type(*sets, labels_key="cell_type", types=types)


def test_manifold_shows_each_cell_once(tables):
    table = tables["manifold"]

    def points(figure):
        return [len(c.get_offsets()) for ax in figure.axes for c in ax.collections if len(c.get_offsets()) > 1]

    assert points(pl.manifold(table, return_fig=True)) == [120, 120]
    assert points(pl.manifold(table, basis="tSNE", color="gene_3", return_fig=True))[:3] == [60, 60, 60]
    marked = pl.manifold(table, highlight="NK", return_fig=True)
    n_marked = [len(ax.collections[1].get_offsets()) for ax in marked.axes]
    assert n_marked == list(table[table["type"] == "NK"].groupby("set", sort=False).size())
    assert {to_hex(ax.collections[0].get_facecolor()[0]) for ax in marked.axes} == {"#dddddd"}


def test_manifold_refuses_what_it_has_not(tables):
    for wrong, match in [
        ({"basis": "PCA"}, "basis"),
        ({"color": "type"}, "must be a column of numbers"),
        ({"highlight": "C"}, "must be a type"),
        ({"color": "gene_3", "highlight": "NK"}, "got both"),
    ]:
        with pytest.raises(ValueError, match=match):
            pl.manifold(tables["manifold"], **wrong)
