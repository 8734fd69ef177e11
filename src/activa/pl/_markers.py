"""Violins of marker genes, real and synthetic cells side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike

import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from activa.data import Cells
from activa.metrics.correlation import markers_of_types
from activa.pl._colors import ORIGINS
from activa.pl._finish import Output
from activa.pl._grid import grid, panel_title
from activa.pl._pair import find_genes, read_pair
from activa.pl._violin import half_violin


def markers(
    real: AnnData,
    synthetic: AnnData,
    *,
    labels_key: str,
    genes: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
    n_genes: int = 3,
    layer: str | None = None,
    normalized: bool = False,
    show: bool | None = None,
    save: str | PathLike[str] | None = None,
    return_fig: bool = False,
) -> Figure | list[Axes] | None:
    """Log expression of marker genes in the cells of the type that they mark, a panel a type.

    Half violins, real cells to the left and synthetic ones to the right, each as wide as any, with a line at the median.

    Parameters
    ----------
    real, synthetic, layer, normalized
        As for :func:`umap`.
    labels_key
        Column of ``obs`` with the types, in both.
    genes
        Names of genes of each type; or names alone, each then shown in the type of real cells that expresses it most, on
        average. By default the genes with the largest t statistic of the type against all other real cells, as of
        :func:`activa.metrics.top_markers`.
    n_genes
        Genes of each type, where ``genes`` is not given.
    show, save, return_fig
        As for :func:`umap`.

    Returns
    -------
    The panels' Axes, one a type; the figure with ``return_fig``; nothing if it is shown.

    Raises
    ------
    KeyError, TypeError, ValueError
        As :func:`activa.metrics.evaluate` for the same arguments; if a gene or type of ``genes`` is unknown; if there are
        fewer than two types to choose genes by, or ``n_genes`` is below 1.

    References
    ----------
    Figure S11 of Heydari et al. 2022, doi:10.1093/bioinformatics/btac095.

    Examples
    --------
    >>> markers(held_out, synthetic, labels_key="cell_type")  # doctest: +SKIP
    >>> markers(held_out, synthetic, labels_key="cell_type", genes={"CD19+ B": ["CD79A"]})  # doctest: +SKIP
    """
    output = Output(show, save, return_fig)
    if n_genes < 1:
        raise ValueError(f"n_genes must be at least 1, got {n_genes}.")
    cells = read_pair(real, synthetic, labels_key, layer, normalized=normalized)
    chosen = _choose(genes, n_genes, cells["real"], real)
    if not chosen:
        raise ValueError(
            "there are no genes to plot: no type of real has two cells to choose them by, or genes is empty."
        )
    names = real.var_names.astype(str)
    n_rows, n_columns = grid(len(chosen), 6)
    most = max(len(of_type) for of_type in chosen.values())
    with output.figure(max(0.62 * most + 0.3, 1.7) * n_columns + 0.4, 2.1 * n_rows + 0.4) as figure:
        axes = list(figure.subplots(n_rows, n_columns, squeeze=False).flat)
        for ax in axes[len(chosen) :]:
            ax.remove()
        for ax, (label, of_type) in zip(axes, chosen.items(), strict=False):
            for name, of in cells.items():
                expression = of.log_expression[of.types == label][:, of_type].toarray()
                for at, x in enumerate(expression.T):
                    half_violin(ax, at, x, name)
            ax.set_xticks(range(len(of_type)), names[of_type], rotation=35, ha="right", rotation_mode="anchor")
            ax.tick_params(labelsize="x-small")
            ax.set(xlim=(-0.6, len(of_type) - 0.4), ylim=(0, None))
            ax.spines[["top", "right"]].set_visible(False)
            panel_title(ax, label, int(8.5 * max(0.62 * most + 0.3, 1.7)))
        figure.supylabel("log(1 + count of 10,000)", fontsize="small")
        handles = [
            Patch(color=color, label=f"{name} ({side})")
            for (name, color), side in zip(ORIGINS.items(), ("left", "right"), strict=True)
        ]
        figure.legend(handles=handles, loc="outside upper center", ncols=2, frameon=False, fontsize="small")
        return output.finish(axes[: len(chosen)])


def _choose(
    genes: Sequence[str] | Mapping[str, Sequence[str]] | None, n_genes: int, cells: Cells, real: AnnData
) -> dict[str, list[int]]:
    """Indices of the genes to show of each type."""
    if genes is None:
        return markers_of_types(cells.log_expression, cells.types, n_genes)
    types = sorted(set(cells.types))
    if isinstance(genes, Mapping):
        if unknown := [label for label in genes if label not in types]:
            raise ValueError(f"genes names types {unknown} that real has not; choose from {types}.")
        return {label: find_genes(of_type, real) for label, of_type in genes.items()}
    found = find_genes(genes, real)
    means = [np.asarray(cells.log_expression[cells.types == label][:, found].mean(axis=0)).ravel() for label in types]
    highest = np.argmax(means, axis=0)
    of_types = {
        label: [gene for gene, at in zip(found, highest, strict=True) if at == i] for i, label in enumerate(types)
    }
    return {label: of_type for label, of_type in of_types.items() if of_type}
