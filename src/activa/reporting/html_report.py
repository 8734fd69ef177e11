"""The report: compares cells, plots them, and writes one HTML page."""

from __future__ import annotations

import base64
import io
import json
import platform
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from inspect import signature
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from tqdm.auto import tqdm

from activa import pl
from activa.data import Cells
from activa.io.atomic import atomic_file, check_free
from activa.metrics import METRICS
from activa.metrics.evaluation import evaluate_sets
from activa.reporting.judgment import judge, judge_types

_MAX_PLOTTED = 5000
_DPI = 110
_PACKAGES = ("activa-sc", "anndata", "numpy", "scanpy", "scikit-learn", "scipy", "scvi-tools", "torch")

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

# Plots of the page, with titles and captions that say how to read them.
_PLOTS: dict[Callable[..., Any], tuple[str, str]] = {
    pl.metrics: ("Metrics against the floor", "Where each metric stands between real cells (the floor) and worse."),
    pl.umap: ("UMAP", "Both sets in one embedding. Good cells fill the same places; it is a picture, not a measure."),
    pl.umap_per_type: ("UMAP, type by type", "Real and synthetic cells of each type over all others in gray."),
    pl.confusion: (
        "Types asked for, and recognized",
        "What a classifier trained on the real cells takes the synthetic cells of each type for.",
    ),
    pl.markers: ("Marker genes", "Expression of markers of the real types, in real and synthetic cells of the type."),
    pl.correlation: (
        "Correlation of genes",
        "How genes go together in both sets; the two halves should look the same.",
    ),
    pl.library_size: ("Library size", "Total counts per cell."),
    pl.genes_per_cell: ("Genes per cell", "Number of detected genes per cell."),
    pl.dropout: ("Dropout", "Share of cells without counts of a gene, against its mean: one point per gene."),
    pl.mean_variance: ("Mean and variance", "Variance of each gene against its mean."),
}
_PLOTS_OF_TYPES = {pl.umap_per_type, pl.confusion, pl.markers}


def report(
    real: AnnData,
    synthetic: AnnData,
    path: str | PathLike[str] = "report.html",
    *,
    labels_key: str | None = None,
    layer: str | None = None,
    train: AnnData | None = None,
    floor: AnnData | None = None,
    normalized: bool = False,
    name: str | None = None,
    overwrite: bool = False,
    seed: int = 0,
) -> pd.DataFrame:
    """Judge the synthetic cells of any generator against real ones, on one self-contained page.

    The page shows how well a random forest tells the cells from real ones, all metrics and their meaning, a sortable
    table of types, the plots of :mod:`activa.pl` of at most 5,000 cells per set, and the settings and versions to
    repeat it. The file needs no network and is smaller than 5 MB.

    Parameters
    ----------
    real, synthetic, labels_key, layer, train, floor, normalized, seed
        As in :func:`activa.metrics.evaluate`, whose table is returned and which raises the same errors.
    path, overwrite
        HTML file to write, in one step, and whether to replace an existing one; an OSError if it cannot be written.
    name
        Name of the generator on the page. By default "ACTIVA" if ``synthetic.uns`` says so, else "synthetic cells".

    Examples
    --------
    >>> activa.report(held_out, synthetic, "report.html", labels_key="cell_type", train=train)  # doctest: +SKIP
    """
    path = Path(path)
    if path.suffix not in (".html", ".htm"):
        raise ValueError(f"path must end with '.html', got {str(path)!r}.")
    check_free(path, overwrite=overwrite, what="report")
    sets = {"real": real, "synthetic": synthetic, "floor": floor, "train": train}
    arguments: dict[str, Any] = {"labels_key": labels_key, "layer": layer, "normalized": normalized, "seed": seed}
    table, cells, at_value, at_floor = evaluate_sets(sets, **arguments)
    types = None if labels_key is None else judge_types(cells["real"], cells["synthetic"], at_value, at_floor)
    rng = np.random.default_rng(seed)
    values = arguments | {"real": _subsample(real, rng), "synthetic": _subsample(synthetic, rng), "table": table}
    plots = _choose_plots(cells["real"], cells["synthetic"], normalized)
    n_compared = len(at_value.real)
    page = _render(
        types,
        table,
        name=name or ("ACTIVA" if "activa" in synthetic.uns else "synthetic cells"),
        sizes={key: len(read) for key, read in cells.items()} | {"compared": n_compared},
        n_genes=real.n_vars,
        verdict=judge(table, cells["real"], cells["synthetic"], n_compared),
        images=[_plot_image(plot, values) for plot in tqdm(plots, desc="report", leave=False)],
        settings=_settings(sets, arguments, synthetic.uns.get("activa")),
    )
    with atomic_file(path, overwrite=overwrite, what="report") as part:
        part.write_text(page, encoding="utf-8")
    return table


def _subsample(adata: AnnData, rng: np.random.Generator) -> AnnData:
    """At most as many cells as are plotted."""
    if adata.n_obs <= _MAX_PLOTTED:
        return adata
    return adata[np.sort(rng.choice(adata.n_obs, _MAX_PLOTTED, replace=False))]


def _choose_plots(real: Cells, synthetic: Cells, normalized: bool) -> list[Callable[..., Any]]:
    """The plots that these cells allow. Those without an argument ``normalized`` need counts."""
    typed = real.labels is not None and len(set(real.types)) > 1 and bool(set(real.types) & set(synthetic.types))
    has_values = {"normalized", "table"} if normalized else {"layer", "table"}
    allowed = [plot for plot in _PLOTS if typed or plot not in _PLOTS_OF_TYPES]
    return [plot for plot in allowed if has_values & set(signature(plot).parameters)]


def _plot_image(plot: Callable[..., Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """A PNG of the plot as a data URI, with its size, title and caption; ``values`` holds the plots' arguments."""
    figure = plot(**{name: values[name] for name in signature(plot).parameters if name in values}, return_fig=True)
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=_DPI, bbox_inches="tight", metadata={"Software": None})
    png = data.getvalue()
    # The first chunk of a PNG holds its width and height.
    width, height = (int.from_bytes(png[start : start + 4], "big") for start in (16, 20))
    title, caption = _PLOTS[plot]
    image = {"source": _data_uri("image/png", png), "width": width, "height": height}
    return image | {"title": title, "caption": caption}


def _render(types: pd.DataFrame | None, table: pd.DataFrame, **values: Any) -> str:
    """The page as HTML, with both tables and the ``values`` that its template names."""
    # Names of genes, types and generators are foreign text: they are escaped.
    loader = PackageLoader("activa.reporting", "assets")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    style, script = (Markup(loader.get_source(environment, file)[0]) for file in ("report.css", "report.js"))
    columns = {} if types is None else {key: v for key, v in _TYPE_COLUMNS.items() if types[key].notna().any()}
    return environment.get_template("report.html.jinja").render(
        metrics=[_metric_row(str(key), row) for key, row in table.iterrows()],
        type_headings=[heading for heading, _ in columns.values()],
        types=[
            {"type": str(label), "values": [_number(row[key], template) for key, (_, template) in columns.items()]}
            for label, row in (() if types is None else types.iterrows())
        ],
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        download=_data_uri("text/tab-separated-values", table.to_csv(sep="\t", lineterminator="\n").encode()),
        style=style,
        script=script,
        **values,
    )


def _metric_row(name: str, row: pd.Series) -> dict[str, str]:
    """A row of the table of metrics, its numbers as text."""
    template = "{:.4f}" if max(abs(row["value"]), abs(row["floor"])) < 0.1 else "{:.3f}"
    numbers = {key: _number(float(row[key]), template)["text"] for key in ("value", "floor", "best")}
    return {"name": name, "question": METRICS[name].question, "description": row["description"]} | numbers


def _number(value: float, template: str) -> dict[str, str]:
    """A number as sort key, empty ones last, and as text."""
    known = not np.isnan(value)
    return {"sort": repr(float(value)) if known else "", "text": template.format(value) if known else "–"}


def _data_uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _settings(
    sets: Mapping[str, AnnData | None], arguments: Mapping[str, Any], generator: Mapping[str, Any] | None
) -> dict[str, Any]:
    """What is needed to repeat the page: ``call``, ``versions``, and what the ``generator`` says about itself."""
    given = [f"{key}={arguments[key]!r}" for key in ("labels_key", "layer") if arguments[key] is not None]
    given += [f"{key}={key}" for key in ("floor", "train") if sets[key] is not None]
    given += ["normalized=True"] if arguments["normalized"] else []
    call = ", ".join(["real", "synthetic", '"report.html"', *given, f"seed={arguments['seed']}"])
    versions = {name: version(name) for name in _PACKAGES} | {"Python": platform.python_version()}
    told = None if generator is None else json.dumps(generator, indent=1, default=_plain, ensure_ascii=False)
    return {"call": f"activa.report({call})", "versions": versions, "generator": told}


def _plain(value: Any) -> Any:
    """NumPy values, which AnnData reads from files, as Python's."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)
