"""Where a plot goes: onto the screen, into a file, or back to the caller."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import scanpy as sc
from matplotlib.axes import Axes
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.backends.registry import BackendFilter, backend_registry
from matplotlib.figure import Figure


@dataclass(frozen=True)
class Output:
    """The arguments that all plots share, checked when they are given; ``ax`` only where a plot is one panel."""

    show: bool | None
    save: str | PathLike[str] | None
    return_fig: bool
    ax: Axes | None = None

    def __post_init__(self) -> None:
        if self.ax is not None and not isinstance(self.ax, Axes):
            raise TypeError(f"ax must be Axes of Matplotlib, found {type(self.ax).__name__}.")
        if self.save is None:
            return
        if not isinstance(self.save, str | PathLike):
            raise TypeError(f"save must be a path, found {self.save!r}.")
        path = Path(self.save)
        if path.suffix[1:].lower() not in (known := FigureCanvasBase.get_supported_filetypes()):
            raise ValueError(f"save={str(path)!r} must end in a format of figures: .{', .'.join(sorted(known))}.")
        if not path.parent.is_dir():
            raise FileNotFoundError(f"save={str(path)!r}: there is no folder {str(path.parent)!r}.")

    @property
    def shown(self) -> bool:
        """Whether the plot is shown. Axes that were given are part of a figure that the caller may not be done with."""
        if self.return_fig:
            return False
        return (self.ax is None and sc.settings.autoshow) if self.show is None else self.show

    @contextmanager
    def figure(self, width: float, height: float) -> Iterator[Figure]:
        """A figure of so many inches. pyplot, which keeps its figures, has it only if it is to be shown."""
        make = plt.figure if self.shown else Figure
        figure = make(figsize=(width, height), layout="constrained")
        try:
            yield figure
        except BaseException:
            plt.close(figure)
            raise

    @contextmanager
    def panel(self, width: float, height: float) -> Iterator[Axes]:
        """The Axes that were given, or those of a new figure of so many inches."""
        if self.ax is not None:
            yield self.ax
            return
        with self.figure(width, height) as figure:
            yield figure.subplots()

    def finish[T: (Axes, list[Axes])](self, axes: T) -> T | Figure | None:
        """Save and show the figure as was asked for; what the plot returns."""
        figure = (axes if isinstance(axes, Axes) else axes[0]).get_figure(root=True)
        assert figure is not None
        if self.save is not None:
            figure.savefig(self.save, dpi=150 if mpl.rcParams["savefig.dpi"] == "figure" else "figure")
        if self.return_fig:
            return figure
        if not self.shown:
            return axes
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".* is non-interactive", category=UserWarning)
            plt.show()
        # a window that does not hold up the prompt is still open
        stays = mpl.is_interactive() and mpl.get_backend() not in backend_registry.list_builtin(
            BackendFilter.NON_INTERACTIVE
        )
        if self.ax is None and not stays:
            plt.close(figure)
        return None
