"""The page: its plots, its tables and its HTML."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from activa import pl
from activa.data import Cells
from activa.metrics import METRICS
from activa.reporting.judgment import Verdict

_DPI = 110

# Headings of the table of types, and the formats of its numbers.
_TYPE_COLUMNS = {
    "real": ("Real cells", "{:,.0f}"),
    "synthetic": ("Synthetic cells", "{:,.0f}"),
    "recognized": ("Recognized", "{:.0%}"),
    "recognized_floor": ("Recognized, floor", "{:.0%}"),
    "mmd": ("MMD²", "{:.4f}"),
    "mmd_floor": ("MMD², floor", "{:.4f}"),
    "library_size": ("Library size / real", "{:.2f}"),
    "genes": ("Genes per cell / real", "{:.2f}"),
}


@dataclass(frozen=True)
class Plot:
    """A plot that the page can show."""

    function: Callable[..., Any]
    takes: tuple[str, ...]
    """Which arguments of the report the function takes."""
    title: str
    caption: str
    """How to read it."""
    needs_types: bool = False
    needs_counts: bool = False
    of_table: bool = False
    """Whether it shows the table of metrics instead of the cells."""


@dataclass(frozen=True)
class Image:
    """A plot as the page holds it."""

    title: str
    caption: str
    source: str
    """PNG as a data URI."""
    width: int
    height: int


_TYPES = ("layer", "normalized", "labels_key")
PLOTS = (
    Plot(
        pl.metrics,
        (),
        "Metrics against the floor",
        "Where each metric stands between real cells (the floor) and worse.",
        of_table=True,
    ),
    Plot(
        pl.umap,
        (*_TYPES, "seed"),
        "UMAP",
        "Real and synthetic cells in one embedding. Good cells fill the same places; it is a picture, not a measure.",
    ),
    Plot(
        pl.umap_per_type,
        (*_TYPES, "seed"),
        "UMAP, type by type",
        "The real and the synthetic cells of each type over all others in gray.",
        needs_types=True,
    ),
    Plot(
        pl.confusion,
        (*_TYPES, "seed"),
        "Types asked for, and recognized",
        "What a classifier trained on the real cells takes the synthetic cells of each type for.",
        needs_types=True,
    ),
    Plot(
        pl.markers,
        _TYPES,
        "Marker genes",
        "Expression of marker genes of the real types, in real and in synthetic cells of the type.",
        needs_types=True,
    ),
    Plot(
        pl.correlation,
        _TYPES,
        "Correlation of genes",
        "How genes go together, in real and in synthetic cells; the two halves should look the same.",
    ),
    Plot(pl.library_size, ("layer", "labels_key"), "Library size", "Total counts per cell.", needs_counts=True),
    Plot(pl.genes_per_cell, _TYPES, "Genes per cell", "Number of detected genes per cell."),
    Plot(
        pl.dropout,
        ("layer",),
        "Dropout",
        "Share of cells in which a gene is not detected, against its mean: one point per gene.",
        needs_counts=True,
    ),
    Plot(
        pl.mean_variance, ("layer",), "Mean and variance", "Variance of each gene against its mean.", needs_counts=True
    ),
)


def choose_plots(real: Cells, synthetic: Cells, *, normalized: bool) -> list[Plot]:
    """The plots that these cells allow."""
    typed = real.labels is not None and len(set(real.types)) > 1 and bool(set(real.types) & set(synthetic.types))
    return [p for p in PLOTS if (typed or not p.needs_types) and not (normalized and p.needs_counts)]


def plot_image(
    plot: Plot, real: AnnData, synthetic: AnnData, table: pd.DataFrame, arguments: Mapping[str, Any]
) -> Image:
    """Plot the cells or the table as a PNG."""
    shown = (table,) if plot.of_table else (real, synthetic)
    figure = plot.function(*shown, **{name: arguments[name] for name in plot.takes}, return_fig=True)
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=_DPI, bbox_inches="tight", metadata={"Software": None})
    png = data.getvalue()
    # The first chunk of a PNG holds its width and height.
    width, height = (int.from_bytes(png[start : start + 4], "big") for start in (16, 20))
    return Image(plot.title, plot.caption, _data_uri("image/png", png), width, height)


def render(
    *,
    name: str,
    sizes: Mapping[str, int],
    n_genes: int,
    verdict: Verdict,
    table: pd.DataFrame,
    types: pd.DataFrame | None,
    images: Sequence[Image],
    settings: Mapping[str, Any],
) -> str:
    """The page as HTML, with the generator's ``name`` and the ``sizes`` of the sets (and how many were ``compared``)."""
    # Names of genes, types and generators are foreign text: they are escaped.
    loader = PackageLoader("activa.reporting", "assets")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    style, script = (Markup(loader.get_source(environment, file)[0]) for file in ("report.css", "report.js"))
    columns = {} if types is None else {key: v for key, v in _TYPE_COLUMNS.items() if types[key].notna().any()}
    return environment.get_template("report.html.jinja").render(
        name=name,
        sizes=sizes,
        n_genes=n_genes,
        verdict=verdict,
        metrics=[_metric_row(str(key), row) for key, row in table.iterrows()],
        type_headings=[heading for heading, _ in columns.values()],
        types=[] if types is None else [_type_row(str(label), row, columns) for label, row in types.iterrows()],
        images=images,
        settings=settings,
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        download=_data_uri("text/tab-separated-values", table.to_csv(sep="\t", lineterminator="\n").encode()),
        style=style,
        script=script,
    )


def _data_uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _text(value: float, template: str) -> str:
    return "–" if np.isnan(value) else template.format(value)


def _metric_row(name: str, row: pd.Series) -> dict[str, str]:
    """A row of the table of metrics, its numbers as text."""
    template = "{:.4f}" if max(abs(row["value"]), abs(row["floor"])) < 0.1 else "{:.3f}"
    numbers = {key: _text(float(row[key]), template) for key in ("value", "floor", "best")}
    return {"name": name, "question": METRICS[name].question, "description": row["description"]} | numbers


def _type_row(label: str, row: pd.Series, columns: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    """A row of the table of types, its numbers as sort keys (empty ones are last) and as text."""
    values = [
        {"sort": "" if np.isnan(row[key]) else repr(float(row[key])), "text": _text(row[key], template)}
        for key, (_, template) in columns.items()
    ]
    return {"type": label, "values": values}
