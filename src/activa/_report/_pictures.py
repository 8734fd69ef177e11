import base64
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from anndata import AnnData

from activa import pl
from activa.data import Cells

_DPI = 110


@dataclass(frozen=True)
class Picture:
    """A plot of the page."""

    plot: Callable[..., Any]
    takes: tuple[str, ...]
    """Which of the report's arguments the plot takes."""
    title: str
    caption: str
    """How to read it."""
    needs_types: bool = False
    needs_counts: bool = False
    of_table: bool = False
    """Whether it shows the table, and not the cells."""


@dataclass(frozen=True)
class Drawn:
    """A plot, as the page holds it."""

    title: str
    caption: str
    source: str
    """PNG as a data URI."""
    width: int
    height: int


_TYPES = ("layer", "normalized", "labels_key")
PICTURES = (
    Picture(
        pl.metrics,
        (),
        "Metrics against the floor",
        "Where each metric stands between real cells (the floor) and worse.",
        of_table=True,
    ),
    Picture(
        pl.umap,
        (*_TYPES, "seed"),
        "UMAP",
        "Real and synthetic cells in one embedding. Good cells fill the same places; it is a picture, not a measure.",
    ),
    Picture(
        pl.umap_per_type,
        (*_TYPES, "seed"),
        "UMAP, type by type",
        "The real and the synthetic cells of each type over all others in gray.",
        needs_types=True,
    ),
    Picture(
        pl.confusion,
        (*_TYPES, "seed"),
        "Types asked for, and recognized",
        "What a classifier trained on the real cells takes the synthetic cells of each type for.",
        needs_types=True,
    ),
    Picture(
        pl.markers,
        _TYPES,
        "Marker genes",
        "Expression of marker genes of the real types, in real and in synthetic cells of the type.",
        needs_types=True,
    ),
    Picture(
        pl.correlation,
        _TYPES,
        "Correlation of genes",
        "How genes go together, in real and in synthetic cells; the two halves should look the same.",
    ),
    Picture(
        pl.library_size,
        ("layer", "labels_key"),
        "Library size",
        "Total counts of a cell.",
        needs_counts=True,
    ),
    Picture(pl.genes_per_cell, _TYPES, "Genes per cell", "How many genes are detected in a cell."),
    Picture(
        pl.dropout,
        ("layer",),
        "Dropout",
        "Share of cells in which a gene is not detected, against its mean: a point a gene.",
        needs_counts=True,
    ),
    Picture(
        pl.mean_variance,
        ("layer",),
        "Mean and variance",
        "Variance of each gene against its mean.",
        needs_counts=True,
    ),
)


def pictures_of(real: Cells, synthetic: Cells, *, normalized: bool) -> list[Picture]:
    """The pictures that these cells allow."""
    typed = real.labels is not None and len(set(real.types)) > 1 and bool(set(real.types) & set(synthetic.types))
    return [p for p in PICTURES if (typed or not p.needs_types) and not (normalized and p.needs_counts)]


def draw(
    picture: Picture, real: AnnData, synthetic: AnnData, table: pd.DataFrame, arguments: Mapping[str, Any]
) -> Drawn:
    """Plot, and keep it as a PNG."""
    taken = {name: arguments[name] for name in picture.takes}
    shown = (table,) if picture.of_table else (real, synthetic)
    figure = picture.plot(*shown, **taken, return_fig=True)
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=_DPI, bbox_inches="tight", metadata={"Software": None})
    png = data.getvalue()
    # a PNG's size stands in its first chunk
    width, height = (int.from_bytes(png[start : start + 4], "big") for start in (16, 20))
    source = f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
    return Drawn(picture.title, picture.caption, source, width, height)
