"""Genes: expression of markers, and correlations between genes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.patches import Patch
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from activa.arguments import check_integers
from activa.data import Cells
from activa.metrics import correlation_discrepancy as discrepancy
from activa.metrics.fidelity import markers_of_types
from activa.metrics.properties import pearson
from activa.metrics.space import variable_genes
from activa.pl import parts
from activa.pl.output import Output, Panels, Where, documented

_N_VARIABLE = 50
_MAX_NAMED = 50


@documented
def markers(
    real: AnnData,
    synthetic: AnnData,
    *,
    labels_key: str,
    genes: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
    n_genes: int = 3,
    layer: str | None = None,
    normalized: bool = False,
    **where: Unpack[Where],
) -> Panels:
    """Log expression of marker genes in the cells of the type that they mark, one panel per type.

    Half violins, or points of fewer than ten cells; real cells to the left and synthetic cells to the right, with a line at
    the median (figure S11).

    {parameters, sets, labels_key}
    genes, n_genes
        Names of genes of each type; or names alone, each shown in the type of real cells with the highest mean. None:
        the ``n_genes`` of :func:`activa.metrics.top_markers` per type.
    {layer, normalized, output, errors, reference, example}
    """
    output = Output(**where)
    check_integers(n_genes=n_genes)
    cells = parts.read_pair(real, synthetic, labels_key, layer, normalized=normalized)
    chosen = _genes_per_type(genes, n_genes, cells["real"], real)
    if not chosen:
        raise ValueError("genes must name at least one gene, got none; by default, a type of real needs two cells.")
    names = real.var_names.astype(str)
    n_rows, n_columns = parts.grid(len(chosen), 6)
    width = max(0.62 * max(map(len, chosen.values())) + 0.3, 1.7)
    with output.figure(width * n_columns + 0.4, 2.1 * n_rows + 0.4) as figure:
        axes = parts.panels(figure, len(chosen), n_rows, n_columns)
        for ax, (label, of_type) in zip(axes, chosen.items(), strict=True):
            for name, of in cells.items():
                expression = of.log_expression[of.types == label][:, of_type].toarray()
                for at, x in enumerate(expression.T):
                    parts.half_violin(ax, at, x, name)
            ax.set_xticks(range(len(of_type)), names[of_type], rotation=35, ha="right", rotation_mode="anchor")
            ax.tick_params(labelsize="x-small")
            # a median of zero stays above the axis
            ax.set(xlim=(-0.6, len(of_type) - 0.4), ylim=(-0.04 * max(ax.get_ylim()[1], 1), None))
            parts.open_frame(ax)
            parts.panel_title(ax, label, int(8.5 * width))
        figure.supylabel("log(1 + count of 10,000)", fontsize="small")
        sides = zip(parts.ORIGINS.items(), ("left", "right"), strict=True)
        handles = [Patch(color=color, label=f"{name} ({side})") for (name, color), side in sides]
        figure.legend(handles=handles, loc="outside upper center", ncols=2, frameon=False, fontsize="small")
        return output.finish(axes)


def _genes_per_type(
    genes: Sequence[str] | Mapping[str, Sequence[str]] | None, n_genes: int, cells: Cells, real: AnnData
) -> dict[str, list[int]]:
    """Indices of the genes to show of each type."""
    if genes is None:
        return markers_of_types(cells.log_expression, cells.types, n_genes)
    types = sorted(set(cells.types))
    if isinstance(genes, Mapping):
        if unknown := [label for label in genes if label not in types]:
            raise ValueError(f"genes must name types of real, got {unknown}: choose from {types}.")
        return {label: _find_genes(of_type, real) for label, of_type in genes.items()}
    found = _find_genes(genes, real)
    means = [np.asarray(cells.log_expression[cells.types == label][:, found].mean(axis=0)).ravel() for label in types]
    highest = [types[i] for i in np.argmax(means, axis=0)]
    shown = [label for label in types if label in highest]
    return {label: [gene for gene, at in zip(found, highest, strict=True) if at == label] for label in shown}


def _find_genes(genes: Sequence[str], real: AnnData) -> list[int]:
    """Indices of these genes, checked."""
    genes = [genes] if isinstance(genes, str) else list(genes)
    if not genes:
        raise ValueError("genes must name at least one gene, got none.")
    found = real.var_names.get_indexer(pd.Index(genes))
    if unknown := [gene for gene, at in zip(genes, found, strict=True) if at < 0]:
        raise KeyError(f"genes must be in var_names (such as {list(real.var_names[:3])}), got {unknown}.")
    return [int(at) for at in found]


@documented
def marker_expression(table: pd.DataFrame, **where: Unpack[Where]) -> Panels:
    """Log expression of marker genes in the cells of the type that they mark, one panel per type and one violin per set.

    A bar stands at each median. A set with fewer than two cells of a type has no violin there (figure S11 of the paper).

    {table}
    """
    output = Output(**where)
    parts.check_table(table, "marker_expression", ("set", "type", "gene", "expression"))
    colors, types = parts.set_colors(table), table["type"].unique()
    n_genes = table.groupby("type", observed=True)["gene"].nunique().max()
    width = min(3 + 0.35 * n_genes * len(colors), 12)
    with output.figure(width, 2.7 * len(types) + 0.4) as figure:
        axes = list(figure.subplots(len(types), 1, squeeze=False)[:, 0])
        for ax, label in zip(axes, types, strict=True):
            of_type = table[table["type"] == label]
            genes = of_type["gene"].unique()
            for (name, gene), rows in of_type.groupby(["set", "gene"], sort=False, observed=True):
                x = rows["expression"].to_numpy()
                if len(x) < 2:
                    continue
                at = list(genes).index(gene) + parts.offset(list(colors).index(name), len(colors), 0.8)
                if np.ptp(x) > 0:  # a density needs some spread
                    body = ax.violinplot(x, [at], widths=0.75 / len(colors), showextrema=False)["bodies"][0]
                    body.set(facecolor=colors[name], edgecolor="none", alpha=0.75)
                ax.plot(np.array([-0.3, 0.3]) / len(colors) + at, [np.median(x)] * 2, color="#000000", lw=1.5)
            ax.set_xticks(range(len(genes)), genes)
            ax.set(ylabel="log(1 + count of 10,000)", ylim=(min(0.0, of_type["expression"].min()), None))
            n_real = (of_type["set"] == "real").sum() // len(genes)
            ax.set_title(f"{label} ({n_real:,} real cells)", fontsize="medium")
        handles = [Patch(color=color, label=name) for name, color in colors.items()]
        figure.legend(handles=handles, loc="outside upper center", ncols=len(colors), frameon=False)
        return output.finish(axes)


@documented
def correlation(
    real: AnnData,
    synthetic: AnnData,
    *,
    labels_key: str | None = None,
    genes: Sequence[str] | None = None,
    n_markers: int = 5,
    layer: str | None = None,
    normalized: bool = False,
    **where: Unpack[Where],
) -> Panels:
    """Pearson correlations between genes, one heat map of real and one of synthetic cells.

    Both have the same genes, order and colors. Up to 50 genes have their names, and lines between the types that they mark,
    which are named on the right; more have the types' names in place of their own. The colors end at the largest correlation between two genes, to show weak ones, as between counts. The title
    has the Frobenius norm of the difference, which counts each pair once.

    {parameters, sets, labels_key}
    genes, n_markers
        Names of genes, in the order to show. None: ``n_markers`` per type of ``real``
        (:func:`activa.metrics.top_markers`); without ``labels_key`` the 50 genes of largest variance in ``real``, with
        correlated genes side by side.
    {layer, normalized, output, errors, reference, example}
    """
    output = Output(**where)
    check_integers(n_markers=n_markers)
    cells = parts.read_pair(real, synthetic, labels_key, layer, normalized=normalized)
    chosen, types = _ordered_genes(genes, n_markers, cells["real"], real)
    if len(chosen) < 2:
        raise ValueError(f"genes must be at least 2 for a correlation, got {len(chosen)}.")
    expression = {name: of.log_expression[:, chosen].toarray().astype(float) for name, of in cells.items()}
    distance = discrepancy(expression["real"], expression["synthetic"])
    matrices = {name: pearson(x) for name, x in expression.items()}
    above = np.triu_indices(len(chosen), k=1)
    largest = max(np.abs(matrix[above]).max() for matrix in matrices.values()) or 1.0
    side = min(max(0.13 * len(chosen), 3.6), 6.5)
    margin = max([len(label) for label, _ in types], default=0) * 0.05 + 0.5
    with output.figure(2 * side + margin + 1.1, side + 0.8) as figure:
        axes = list(figure.subplots(1, 2))
        titles = ("Real", f"Synthetic ({distance:.2f} from real)")
        for ax, title, matrix in zip(axes, titles, matrices.values(), strict=True):
            image = _heat_map(ax, matrix, largest, real.var_names[chosen].astype(str), named=ax is axes[0])
            ax.set_title(title, fontsize="medium")
            _name_blocks(ax, types, len(chosen), named=ax is axes[len(chosen) <= _MAX_NAMED])
        figure.colorbar(image, ax=axes, shrink=0.7, pad=0.01, label="Pearson correlation", extend="max")
        return output.finish(axes)


def _ordered_genes(
    genes: Sequence[str] | None, n_markers: int, cells: Cells, real: AnnData
) -> tuple[list[int], list[tuple[str, int]]]:
    """Indices of the genes in their order; and for markers, the types with their numbers of genes."""
    if genes is not None:
        return _find_genes(genes, real), []
    if cells.labels is None:
        chosen = variable_genes(cells.log_expression, _N_VARIABLE)
        distances = 1 - pearson(cells.log_expression[:, chosen].toarray().astype(float))
        np.fill_diagonal(distances, 0)
        if len(chosen) > 2:
            tree = linkage(squareform(distances, checks=False), "average", optimal_ordering=True)
            chosen = chosen[leaves_list(tree)]
        return [int(gene) for gene in chosen], []
    # a gene that marks two types stands with the type that it marks better
    of_types = markers_of_types(cells.log_expression, cells.types, n_markers)
    taken: dict[int, str] = {}
    for of_rank in zip(*of_types.values(), strict=True):
        for label, gene in zip(of_types, of_rank, strict=True):
            taken.setdefault(gene, label)
    sizes = pd.Series(taken, dtype=object).value_counts()
    ordered = [gene for label in of_types for gene, owner in taken.items() if owner == label]
    return ordered, [(label, int(sizes[label])) for label in of_types if label in sizes]


def _heat_map(ax: Axes, matrix: np.ndarray, largest: float, genes: Any, *, named: bool) -> AxesImage:
    """A matrix of correlations, with up to 50 names of genes: below and, if ``named``, to the left."""
    shown = genes if len(genes) <= _MAX_NAMED else []
    ax.tick_params(length=0, labelsize=7)
    ax.set_xticks(range(len(shown)), shown, rotation=90)
    ax.set_yticks(range(len(shown)), shown if named else [""] * len(shown))
    return ax.imshow(matrix, vmin=-largest, vmax=largest, cmap="RdBu_r", interpolation="nearest")


def _name_blocks(ax: Axes, types: list[tuple[str, int]], n_genes: int, *, named: bool) -> None:
    """Lines between the types' genes and, if ``named``, names of the types whose genes are high enough for one.

    The names stand to the left, or to the right if the genes have their names to the left.
    """
    ends = np.cumsum([0, *(number for _, number in types)])
    middles = (ends[:-1] + ends[1:] - 1) / 2
    room = 0.018 * n_genes  # a line of 7 points
    shown: list[int] = []
    for i, middle in enumerate(middles):
        if not shown or middle - middles[shown[-1]] >= room:
            shown.append(i)
    labels = [types[i][0] if named else "" for i in shown]
    if n_genes > _MAX_NAMED:
        ax.set_yticks(middles[shown], labels)
        return
    for end in ends[1:-1] - 0.5:
        ax.axhline(end, color="#888888", lw=0.4)
        ax.axvline(end, color="#888888", lw=0.4)
    if named and types:
        right = ax.secondary_yaxis("right")
        right.set_yticks(middles[shown], labels)
        right.tick_params(length=0, labelsize=7)


@documented
def correlation_discrepancy(table: pd.DataFrame, **where: Unpack[Where]) -> Panels:
    """Pearson correlations of marker genes, one heat map per set.

    Genes stand in the order of the types that they mark; up to 50 have their names.

    {table}
    """
    output = Output(**where)
    parts.check_table(table, "correlation_discrepancy", ("set", "gene", "other_gene", "correlation", "discrepancy"))
    sets, genes = table["set"].unique(), table["gene"].unique()
    with output.figure(4.2 * len(sets) + 1, 4.6) as figure:
        axes = list(figure.subplots(1, len(sets), squeeze=False)[0])
        for ax, name in zip(axes, sets, strict=True):
            of_set = table[table["set"] == name]
            matrix = of_set.pivot(index="gene", columns="other_gene", values="correlation").loc[genes, genes]
            image = _heat_map(ax, matrix.to_numpy(), 1.0, genes, named=ax is axes[0])
            distance = of_set["discrepancy"].iloc[0]
            ax.set_title("real" if name == "real" else f"{name}: {distance:.2f} from real", fontsize="medium")
        figure.colorbar(image, ax=axes, shrink=0.7, label="Pearson correlation")
        return output.finish(axes)
