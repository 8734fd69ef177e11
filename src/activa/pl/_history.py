"""Losses by epoch."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from activa.model import ACTIVA
from activa.pl._colors import OTHERS, REAL
from activa.pl._finish import Output

_TRAIN, _VALIDATION = ("train", REAL, "-", "o"), ("validation", OTHERS[3], "--", "s")
_RECONSTRUCTED, _GENERATED = ("reconstructed cells", OTHERS[1], "-.", "^"), ("generated cells", OTHERS[2], ":", "D")
_PANELS: dict[str, dict[str, tuple[str, str, str, str]]] = {
    "Loss": {"train_loss": _TRAIN, "validation_loss": _VALIDATION},
    "Reconstruction, $L_{AE}$": {
        "reconstruction_loss_train": _TRAIN,
        "reconstruction_loss_validation": _VALIDATION,
    },
    "KL divergence, $L_{REG}$": {
        "kl_local_train": _TRAIN,
        "kl_local_validation": _VALIDATION,
        "kl_reconstructed": _RECONSTRUCTED,
        "kl_generated": _GENERATED,
    },
    "Library size": {"library_nll_train": _TRAIN, "library_nll_validation": _VALIDATION},
    "Classifier": {"classification_loss_train": _TRAIN, "classification_loss_validation": _VALIDATION},
    "Introspection": {
        "introspective_encoder": ("encoder's term", "#000000", "-", "o"),
        "introspective_generator": ("generator's term", OTHERS[4], "--", "s"),
    },
    "Realism": {"realism_validation": _VALIDATION},
}


def history(
    model: ACTIVA,
    *,
    show: bool | None = None,
    save: str | PathLike[str] | None = None,
    return_fig: bool = False,
) -> Figure | list[Axes] | None:
    """Losses of a training by epoch, of training and of validation cells where there were some.

    A panel each for the loss as a whole, its terms, and where the model was trained with them, the introspective terms and
    the realism of generated cells. Where the game was played, ``L_REG`` of reconstructed and of generated cells is there
    too, with the margin m of the hinge; a vertical line stands where introspection begins.

    Parameters
    ----------
    model
        A trained model.
    show, save, return_fig
        As for :func:`umap`.

    Returns
    -------
    The panels' Axes; the figure with ``return_fig``; nothing if it is shown.

    Raises
    ------
    TypeError
        If ``model`` is no ACTIVA.
    ValueError
        If it has no history, because it was not trained.

    References
    ----------
    Equations 4 and 5 of Heydari et al. 2022, doi:10.1093/bioinformatics/btac095.

    Examples
    --------
    >>> history(model)  # doctest: +SKIP
    """
    output = Output(show, save, return_fig)
    if not isinstance(model, ACTIVA):
        raise TypeError(f"model must be an ACTIVA, found {type(model).__name__}.")
    logged = _logged(model.history)
    panels = {title: terms for title, terms in _PANELS.items() if any(name in logged for name in terms)}
    if not panels:
        raise ValueError("model has no history; call model.train() first.")
    start = logged["introspective_encoder"].index[0] if "introspective_encoder" in logged else None
    ends = np.array([f([f(values.index) for values in logged.values()]) for f in (min, max)])
    n_columns = min(len(panels), 3)
    n_rows = -(-len(panels) // n_columns)
    with output.figure(3.4 * n_columns, 2.6 * n_rows + 0.5) as figure:
        axes = list(figure.subplots(n_rows, n_columns, squeeze=False).flat)
        for ax in axes[len(panels) :]:
            ax.remove()
        for ax, (title, terms) in zip(axes, panels.items(), strict=False):
            _draw(ax, {logged_as: style for logged_as, style in terms.items() if logged_as in logged}, logged)
            if start is not None:
                ax.axvline(start, color="#888888", lw=1, zorder=0, label="introspection begins")
            if "kl_generated" in terms and "margin" in logged:
                margin = float(logged["margin"].iloc[-1])
                ax.axhline(margin, color="#000000", lw=1, ls=(0, (1, 2)), label=f"margin m = {margin:.3g}")
            ax.set(title=title, xlabel="Epoch", xlim=(ends[0] - 0.02 * np.ptp(ends), ends[1] + 0.02 * np.ptp(ends)))
            ax.spines[["top", "right"]].set_visible(False)
        labeled = [ax.get_legend_handles_labels() for ax in axes[: len(panels)]]
        entries = {label: handle for both in labeled for handle, label in zip(*both, strict=True)}
        columns = min(len(entries), 4 if n_columns > 2 else 2)
        style: dict[str, Any] = {"loc": "outside upper center", "frameon": False, "fontsize": "small"}
        figure.legend(entries.values(), entries.keys(), ncols=columns, **style)
        return output.finish(axes[: len(panels)])


def _logged(history: Mapping[str, pd.DataFrame] | None) -> dict[str, pd.Series]:
    """What was logged, by name, as numbers by epoch."""
    series = {name: table.iloc[:, 0].astype(float).dropna() for name, table in (history or {}).items()}
    return {name: values for name, values in series.items() if len(values)}


def _draw(ax: Axes, terms: dict[str, tuple[str, str, str, str]], logged: dict[str, pd.Series]) -> None:
    for name, (label, color, line, marker) in terms.items():
        values = logged[name]
        # one epoch is no line
        style: dict[str, Any] = {"marker": marker, "ms": 3} if len(values) == 1 else {}
        ax.plot(values.index, values, color=color, ls=line, lw=1.5, label=label, **style)
