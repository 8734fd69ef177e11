"""Colors of types."""

import math

import pytest
from matplotlib.colors import to_hex, to_rgb

from activa import pl
from activa.pl.parts import ORIGINS, grid, type_colors


def test_types_have_their_own_colors_everywhere(sets):
    real, synthetic = (adata.copy() for adata in sets)
    own = {"B": "#123456", "NK": "#654321", "T": "#abcdef"}
    for adata in (real, synthetic):
        adata.uns["cell_type_colors"] = list(own.values())
    synthetic.uns["cell_type_colors"] = ["#000000"] * 3
    assert type_colors(own, "cell_type", real, synthetic) == own
    figure = pl.umap(real, synthetic, labels_key="cell_type", return_fig=True)
    shown = {to_hex(color) for ax in figure.axes[1:] for color in ax.collections[-1].get_facecolor()}
    assert shown == set(own.values())
    # those of synthetic cells where real ones have none, and scanpy's where neither has any that can be used
    del real.uns["cell_type_colors"]
    assert set(type_colors(own, "cell_type", real, synthetic).values()) == {"#000000"}
    for useless in (["red"], ["red", "blue", "no color"], "red"):
        synthetic.uns["cell_type_colors"] = useless
        assert type_colors(own, "cell_type", real, synthetic)["B"] == "#279e68"
    # a type that has none gets one that no other has
    real.uns["cell_type_colors"] = ["#1f77b4", "#ff7f0e", "#279e68"]
    colors = type_colors([*own, "new"], "cell_type", real, synthetic)
    assert len(set(colors.values())) == 4 and colors["B"] == "#1f77b4"


@pytest.mark.parametrize("n_types", [3, 16, 30, 60])
def test_no_type_has_the_color_of_an_origin(sets, n_types):
    colors = type_colors([f"type {i}" for i in range(n_types)], "cell_type", *sets)
    assert len(set(colors.values())) == n_types
    for origin in ORIGINS.values():
        assert min(math.dist(to_rgb(origin), to_rgb(color)) for color in colors.values()) > 0.2


@pytest.mark.parametrize("n_panels", [1, 5, 6, 7, 11, 19, 40, 100])
def test_a_grid_has_room_for_all_panels_and_no_empty_row(n_panels):
    n_rows, n_columns = grid(n_panels)
    assert (n_rows - 1) * n_columns < n_panels <= n_rows * n_columns and n_rows <= max(n_columns, 13) and n_columns <= 8
    # the last row lacks fewer panels than there are rows
    assert n_rows * n_columns - n_panels < n_rows
