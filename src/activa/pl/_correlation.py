"""Correlations of genes, real and synthetic cells side by side."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike

import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from activa.data import Cells
from activa.metrics.correlation import correlation_discrepancy, markers_of_types, pearson
from activa.metrics.space import variable_genes
from activa.pl._finish import Output
from activa.pl._pair import find_genes, read_pair

_N_VARIABLE = 50
_MAX_NAMED = 50


def correlation(
    real: AnnData,
    synthetic: AnnData,
    *,
    labels_key: str | None = None,
    genes: Sequence[str] | None = None,
    n_markers: int = 5,
    layer: str | None = None,
    normalized: bool = False,
    show: bool | None = None,
    save: str | PathLike[str] | None = None,
    return_fig: bool = False,
) -> Figure | list[Axes] | None:
    """Pearson correlations between genes, a heat map of real and one of synthetic cells.

    Both have the same genes, order and colors; genes have their names where there are up to 50, and the types that they
    mark where there are more. The colors end at the largest correlation between two genes, so that weak ones, as counts
    have them, are seen. The title has the Frobenius norm of the difference, each pair counted once.

    Parameters
    ----------
    real, synthetic, layer, normalized
        As for :func:`umap`.
    labels_key
        Column of ``obs`` with the types, in both. The genes are then the markers of the real cells' types, in their order.
    genes
        Names of genes, in the order to show. By default the markers; without ``labels_key`` the 50 of largest variance
        among real cells, those that go together there side by side.
    n_markers
        Markers of each type (:func:`activa.metrics.top_markers`).
    show, save, return_fig
        As for :func:`umap`.

    Returns
    -------
    The Axes of the two panels; the figure with ``return_fig``; nothing if it is shown.

    Raises
    ------
    KeyError, TypeError, ValueError
        As :func:`activa.metrics.evaluate` for the same arguments; if a gene is unknown, there are fewer than two genes,
        cells or, to choose genes by, types, or ``n_markers`` is below 1.

    References
    ----------
    Heydari et al. 2022, doi:10.1093/bioinformatics/btac095; :func:`activa.metrics.correlation_discrepancy` for the norm.

    Examples
    --------
    >>> correlation(held_out, synthetic, labels_key="cell_type")  # doctest: +SKIP
    """
    output = Output(show, save, return_fig)
    if n_markers < 1:
        raise ValueError(f"n_markers must be at least 1, got {n_markers}.")
    cells = read_pair(real, synthetic, labels_key, layer, normalized=normalized)
    chosen, types = _choose(genes, n_markers, cells["real"], real)
    if len(chosen) < 2:
        raise ValueError(f"there are {len(chosen)} genes; a correlation is between two.")
    expression = {name: of.log_expression[:, chosen].toarray().astype(float) for name, of in cells.items()}
    distance = correlation_discrepancy(expression["real"], expression["synthetic"])
    matrices = {name: pearson(x) for name, x in expression.items()}
    above = np.triu_indices(len(chosen), k=1)
    largest = max(np.abs(matrix[above]).max() for matrix in matrices.values()) or 1.0
    side = min(max(0.11 * len(chosen), 3.6), 5.5)
    names = max([len(label) for label, _ in types], default=0) * 0.035 if len(chosen) > _MAX_NAMED else 0.5
    with output.figure(2 * side + names + 1.1, side + 0.8) as figure:
        axes = figure.subplots(1, 2)
        for ax, (name, matrix) in zip(axes, matrices.items(), strict=True):
            image = ax.imshow(matrix, vmin=-largest, vmax=largest, cmap="RdBu_r", interpolation="nearest")
            told = f"Synthetic ({distance:.2f} from real)" if name == "synthetic" else "Real"
            ax.set_title(told, fontsize="medium")
            _name(ax, list(real.var_names[chosen].astype(str)), types, ax is axes[0])
        figure.colorbar(image, ax=axes, shrink=0.7, label="Pearson correlation", extend="max")
        return output.finish(list(axes))


def _choose(
    genes: Sequence[str] | None, n_markers: int, cells: Cells, real: AnnData
) -> tuple[list[int], list[tuple[str, int]]]:
    """Indices of the genes in their order; and of markers, the types with their numbers of genes."""
    if genes is not None:
        return find_genes(genes, real), []
    if cells.labels is None:
        chosen = variable_genes(cells.log_expression, _N_VARIABLE)
        distances = 1 - pearson(cells.log_expression[:, chosen].toarray().astype(float))
        np.fill_diagonal(distances, 0)
        if len(chosen) > 2:
            tree = linkage(squareform(distances, checks=False), "average", optimal_ordering=True)
            chosen = chosen[leaves_list(tree)]
        return [int(gene) for gene in chosen], []
    # a gene that marks two types stands with the one that it marks better
    markers = markers_of_types(cells.log_expression, cells.types, n_markers)
    taken: dict[int, str] = {}
    for of_rank in zip(*markers.values(), strict=True):
        for label, gene in zip(markers, of_rank, strict=True):
            taken.setdefault(gene, label)
    of_types = {label: [gene for gene, owner in taken.items() if owner == label] for label in markers}
    ordered = [gene for of_type in of_types.values() for gene in of_type]
    return ordered, [(label, len(of_type)) for label, of_type in of_types.items() if of_type]


def _name(ax: Axes, genes: Sequence[str], types: list[tuple[str, int]], is_first: bool) -> None:
    """Names at the sides: of genes, or of the types of blocks of genes."""
    ax.tick_params(length=0, labelsize=5)
    if len(genes) <= _MAX_NAMED:
        ax.set_xticks(range(len(genes)), genes, rotation=90)
        ax.set_yticks(range(len(genes)), genes if is_first else [""] * len(genes))
        return
    ends = np.cumsum([0, *(number for _, number in types)])
    middles, labels = (ends[:-1] + ends[1:] - 1) / 2, [label for label, _ in types]
    # a name of 5 points needs a line's height, which a type with few genes among many has not
    room = 0.018 * len(genes)
    shown: list[int] = []
    for i, middle in enumerate(middles):
        if not shown or middle - middles[shown[-1]] >= room:
            shown.append(i)
    ax.set_xticks([])
    ax.set_yticks(middles[shown], [labels[i] if is_first else "" for i in shown])
