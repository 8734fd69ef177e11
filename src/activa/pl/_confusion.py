"""Types asked for against types recognized."""

from __future__ import annotations

from os import PathLike
from typing import Any

import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import confusion_matrix

from activa.metrics.fidelity import recognize
from activa.metrics.space import Space
from activa.pl._finish import Output
from activa.pl._pair import all_types, read_pair

_MAX_WITH_NUMBERS = 15


def confusion(
    real: AnnData,
    synthetic: AnnData,
    *,
    labels_key: str,
    layer: str | None = None,
    normalized: bool = False,
    seed: int = 0,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | PathLike[str] | None = None,
    return_fig: bool = False,
) -> Figure | Axes | None:
    """Types that synthetic cells were asked to be, against those that an independent classifier recognizes.

    The classifier is that of :func:`activa.metrics.label_fidelity`, trained on ``real`` in its 50 principal components.
    Each row, a type asked for, sums to 1; numbers from 0.005 on stand in the heat map where there are up to 15
    types. A row without
    synthetic cells is gray. Types that are close to each other are mixed up among real cells too: compare with
    ``confusion(real, held_out)``.

    Parameters
    ----------
    real, synthetic, layer, normalized
        As for :func:`umap`.
    labels_key
        Column of ``obs`` with the types, in both.
    seed
        Seed of the components and the classifier. Global random state is left alone.
    ax, show, save, return_fig
        As for :func:`dropout`.

    Returns
    -------
    The Axes; the figure with ``return_fig``; nothing if it is shown.

    Raises
    ------
    KeyError, TypeError, ValueError
        As :func:`activa.metrics.evaluate` for the same arguments; and if ``real`` has fewer than two types.

    References
    ----------
    The filter of Heydari et al. 2022, doi:10.1093/bioinformatics/btac095, with a classifier that generation does not use.

    Examples
    --------
    >>> confusion(train, synthetic, labels_key="cell_type")  # doctest: +SKIP
    """
    output = Output(show, save, return_fig, ax)
    cells = read_pair(real, synthetic, labels_key, layer, normalized=normalized)
    if len(set(cells["real"].types)) < 2:
        raise ValueError(f"real has one type in {labels_key!r}; a classifier tells at least two apart.")
    space = Space(cells["real"], seed)
    components = space.project(cells["synthetic"])
    recognized = recognize(space.reference_components, cells["real"].types, components, seed)
    types, asked = all_types(cells), cells["synthetic"].types
    shares = confusion_matrix(asked, recognized, labels=types, normalize="true")
    shares[~np.isin(types, asked)] = np.nan
    side = max(0.42 * len(types), 2.4) if len(types) <= _MAX_WITH_NUMBERS else max(0.19 * len(types), 4.5)
    names = 0.075 * max(len(label) for label in types)
    with output.panel(side + names + 1.5, side + names + 0.9) as ax:
        image = ax.imshow(shares, vmin=0, vmax=1, cmap="cividis", interpolation="nearest")
        ax.set_facecolor("#bbbbbb")
        if len(types) <= _MAX_WITH_NUMBERS:
            for (row, column), share in np.ndenumerate(shares):
                if share >= 0.005:
                    color = "#000000" if share > 0.45 else "#ffffff"
                    ax.text(column, row, f"{share:.2f}", ha="center", va="center", color=color, fontsize="x-small")
        size = "small" if len(types) <= _MAX_WITH_NUMBERS else "x-small"
        ax.set_xticks(range(len(types)), types, rotation=90, fontsize=size)
        ax.set_yticks(range(len(types)), types, fontsize=size)
        ax.tick_params(length=0)
        ax.set(xlabel="Recognized", ylabel="Asked for")
        ax.set_title(f"{np.mean(recognized == asked):.1%} of {len(asked):,} cells recognized", fontsize="medium")
        # inside Axes that were given, so that their figure keeps its own
        place: dict[str, Any] = (
            {"ax": ax, "shrink": 0.8} if output.ax is None else {"cax": ax.inset_axes((1.03, 0.1, 0.04, 0.8))}
        )
        ax.figure.colorbar(image, label="Share of the row's cells", **place)
        return output.finish(ax)
