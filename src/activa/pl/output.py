"""The arguments that all plots share: where a plot goes, and how the arguments are documented."""

from __future__ import annotations

import functools
import inspect
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TypedDict

import matplotlib as mpl
import matplotlib.pyplot as plt
import scanpy as sc
from matplotlib.axes import Axes
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.backends.registry import BackendFilter, backend_registry
from matplotlib.figure import Figure

type Save = str | PathLike[str] | None
type Panel = Figure | Axes | None
type Panels = Figure | list[Axes] | None


class Where(TypedDict, total=False):
    """Arguments of every plot: where it goes."""

    show: bool | None
    save: Save
    dpi: float | None
    return_fig: bool


class OnAxes(Where, total=False):
    """Arguments of every plot of one panel."""

    ax: Axes | None


_SHARED = {
    "parameters": "Parameters\n----------",
    "sets": "real, synthetic\n    Cells x genes of counts, with the same genes in any order.",
    "compared": """\
real
    Held-out real cells: cells x genes of counts.
synthetic
    Generated cells with the same genes, or a mapping of names to several sets. A second held-out set is the floor, the
    score of a perfect generator.""",
    "generators": """\
real
    Cells x genes of counts.
synthetic
    Generated cells with the same genes in any order, or a mapping of up to six generators' names to their cells.""",
    "adata": """\
adata, labels_key, layer
    Cells x genes of counts, the column of ``obs`` with the types, and the layer of the counts (None: ``X``).""",
    "configuration": """\
configuration
    ``"paper"`` (:meth:`activa.ACTIVA.paper`, on counts scaled to 20,000 per cell) or ``"default"``.""",
    "labels_key": "labels_key\n    Column of ``obs`` with the types, in every set.",
    "layer": "layer\n    Layer of the counts in every set. None: ``X``.",
    "normalized": "normalized\n    Whether every set holds log1p of counts scaled to 10,000 per cell instead of counts.",
    "point_size": "point_size\n    Area of a point in points^2. None: the smaller the more cells.",
    "neighbors": """\
n_neighbors, min_dist, seed
    As for :func:`scanpy.pp.neighbors` and :func:`scanpy.tl.umap`. The global random state does not change.""",
    "embedding": """\
{neighbors}
{point_size}
coordinates
    Where the real and the synthetic cells are, two arrays ``(n_cells, 2)``: those of :func:`joint_umap`, which several
    plots can share, or of your own embedding, such as of ``obsm``. None: computed here.""",
    "ax": "ax\n    Axes to plot into, not shown by default. None: those of a new figure.",
    "output": """\
show
    Whether to show the plot. None: as ``scanpy.settings.autoshow`` says.
save
    Path to write the plot to, in the format of its suffix.
dpi
    Dots per inch of what is saved. None: ``savefig.dpi`` of Matplotlib, or 150 if that is not set.
return_fig
    Whether to return the figure instead of showing it.

Returns
-------
The Axes; the figure with ``return_fig``; None if the plot is shown.""",
    "errors": """
Raises
------
KeyError, TypeError, ValueError
    As :func:`activa.metrics.evaluate` for the same arguments, or if another argument is out of range.""",
    "reference": "\nReferences\n----------\nHeydari et al. 2022, doi:10.1093/bioinformatics/btac095.",
    "table_example": "\nExamples\n--------\n>>> {name}(table)  # doctest: +SKIP",
    "adata_example": '\nExamples\n--------\n>>> {name}(adata, labels_key="cell_type")  # doctest: +SKIP',
    "example": '\nExamples\n--------\n>>> {name}(held_out, synthetic, labels_key="cell_type")  # doctest: +SKIP',
    "sets_example": "\nExamples\n--------\n>>> {name}(held_out, synthetic)  # doctest: +SKIP",
    "table": """\
Parameters
----------
table
    The table of :func:`activa.experiments.{name}`.
{output}

Raises
------
TypeError, ValueError
    If ``table`` is not such a table.
{reference, table_example}""",
}
_WHERE = [
    ("ax", "Axes | None", None),
    ("show", "bool | None", None),
    ("save", "Save", None),
    ("dpi", "float | None", None),
    ("return_fig", "bool", False),
]


def documented[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """Show the arguments of ``**where`` one by one, and fill in what docstrings share (``{sets, layer, output}``)."""
    signature = inspect.signature(function)
    parameters = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    has_ax = "OnAxes" in str(signature.parameters.get("where"))
    if "where" in signature.parameters:
        for name, kind, default in _WHERE if has_ax else _WHERE[1:]:
            parameters.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind))
    signature = signature.replace(parameters=parameters)

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        signature.bind(*args, **kwargs)
        return function(*args, **kwargs)

    def fill(match: re.Match[str]) -> str:
        names = match[1].replace("output", "ax, output" if has_ax else "output").split(", ")
        return re.sub(r"^\{(.+)\}$", fill, "\n".join(_SHARED[name] for name in names), flags=re.MULTILINE)

    checked.__signature__ = signature  # type: ignore[attr-defined]
    if function.__doc__:  # python -OO has none
        text = re.sub(r"^\{(.+)\}$", fill, inspect.cleandoc(function.__doc__), flags=re.MULTILINE)
        checked.__doc__ = text.replace("{name}", function.__name__)
    return checked


@dataclass(frozen=True)
class Output:
    """Where a plot goes: onto the screen, into a file, or back to the caller. ``ax`` is for plots of one panel."""

    show: bool | None = None
    save: Save = None
    dpi: float | None = None
    return_fig: bool = False
    ax: Axes | None = None

    def __post_init__(self) -> None:
        if self.ax is not None and not isinstance(self.ax, Axes):
            raise TypeError(f"ax must be Matplotlib Axes, got {type(self.ax).__name__}.")
        if self.dpi is not None and not (isinstance(self.dpi, int | float) and 1 <= self.dpi <= 10_000):
            raise ValueError(f"dpi must be None or a number from 1 to 10,000, got {self.dpi!r}.")
        if self.save is None:
            return
        if not isinstance(self.save, str | PathLike):
            raise TypeError(f"save must be a path, got {self.save!r}.")
        path = Path(self.save)
        if path.suffix[1:].lower() not in (known := FigureCanvasBase.get_supported_filetypes()):
            raise ValueError(f"save must end in a format of figures (.{', .'.join(sorted(known))}), got {str(path)!r}.")
        if not path.parent.is_dir():
            raise FileNotFoundError(f"save={str(path)!r}: the folder {str(path.parent)!r} does not exist; create it.")

    @property
    def shown(self) -> bool:
        """Whether the plot is shown. Axes that were given belong to a figure that the caller may not have finished."""
        if self.return_fig:
            return False
        return (self.ax is None and sc.settings.autoshow) if self.show is None else self.show

    @contextmanager
    def figure(self, width: float, height: float) -> Iterator[Figure]:
        """A new figure, in inches. Only a figure to be shown is registered with pyplot, which keeps it alive."""
        make = plt.figure if self.shown else Figure
        figure = make(figsize=(width, height), layout="constrained")
        try:
            yield figure
        except BaseException:
            plt.close(figure)
            raise

    @contextmanager
    def panel(self, width: float, height: float) -> Iterator[Axes]:
        """The given Axes, or those of a new figure, in inches."""
        if self.ax is not None:
            yield self.ax
            return
        with self.figure(width, height) as figure:
            yield figure.subplots()

    def finish[T: (Axes, list[Axes])](self, axes: T) -> T | Figure | None:
        """Save and show the figure; what the plot returns."""
        figure = (axes if isinstance(axes, Axes) else axes[0]).get_figure(root=True)
        assert figure is not None
        if self.save is not None:
            usual = 150 if mpl.rcParams["savefig.dpi"] == "figure" else mpl.rcParams["savefig.dpi"]
            figure.savefig(self.save, dpi=usual if self.dpi is None else self.dpi)
        if self.return_fig:
            return figure
        if not self.shown:
            return axes
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".* is non-interactive", category=UserWarning)
            plt.show()
        # an interactive window does not block and is still open
        windowless = backend_registry.list_builtin(BackendFilter.NON_INTERACTIVE)
        if self.ax is None and not (mpl.is_interactive() and mpl.get_backend() not in windowless):
            plt.close(figure)
        return None
