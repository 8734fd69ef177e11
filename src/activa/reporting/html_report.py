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
from PIL import Image

from activa import pl
from activa.data import check_sets
from activa.io.atomic import atomic_file, check_free
from activa.metrics import evaluate_types, gene_differences, judge
from activa.metrics.evaluation import Evaluation, Refittable, as_generators, evaluate_sets, joined
from activa.metrics.proportions import proportion_notes
from activa.metrics.samples import Splits
from activa.metrics.type_evaluation import type_table
from activa.pl.output import Output
from activa.pl.type_plots import draw_confusion
from activa.progress import progress
from activa.reporting.page_tables import gene_rows, gene_threshold, metric_rows, type_table_on_page

_MAX_GENERATORS = 6
_MAX_PLOTTED = 5000
_MAX_PLOTTED_GENERATORS = 3
_DPI = 110
_PACKAGES = ("activa-sc", "anndata", "numpy", "scanpy", "scikit-learn", "scipy", "scvi-tools", "torch")


def _confusion(splits: Splits, *, return_fig: bool) -> Any:
    """The plot of pl.confusion, of all cells that the table is of."""
    return draw_confusion(splits, Output(return_fig=return_fig))


# Plots of the page, with titles and captions that say how to read them.
_PLOTS: dict[Callable[..., Any], tuple[str, str]] = {
    pl.metrics: (
        "Metrics against the floor",
        "How many standard errors each metric is worse than other real cells, the line at 0. Lines are 95% intervals, gray "
        "bars those of the floor; filled marks beyond the dashed line are unlike real cells.",
    ),
    pl.cell_profiles: (
        "How the facts of a cell fit together",
        "Medians and 10% to 90% quantiles against the total counts of a cell. Good cells have the lines of the real ones.",
    ),
    pl.umap: ("UMAP", "Both sets in one embedding. Good cells fill the same places; it is a picture, not a measure."),
    pl.umap_per_type: ("UMAP, type by type", "Real and synthetic cells of each type over all others in gray."),
    _confusion: (
        "Types, and what they are recognized as",
        "What classifiers trained on halves of the real cells take the other real cells and the synthetic ones for.",
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
_OF_ALL_GENERATORS = {pl.metrics, pl.cell_profiles}
_OF_TYPES = {pl.umap_per_type, pl.markers, _confusion}


def report(
    real: AnnData,
    synthetic: AnnData | Mapping[str, AnnData],
    path: str | PathLike[str] = "report.html",
    *,
    labels_key: str | None = None,
    batch_key: str | None = None,
    layer: str | None = None,
    train: AnnData | None = None,
    model: Refittable | None = None,
    normalized: bool = False,
    name: str | None = None,
    overwrite: bool = False,
    seed: int = 0,
    evaluations: Mapping[str, Evaluation] | None = None,
) -> pd.DataFrame:
    """Judge the synthetic cells of one or several generators against real ones, on one self-contained page.

    The page says in words whether cells can be told from real ones and what is wrong with them, and shows all metrics with
    their intervals, sortable tables of types and batches, the genes that are worst reproduced, the plots of
    :mod:`activa.pl` of at most 5,000 cells per set and of the first three generators, and the settings and versions to
    repeat it. The file needs no network and is smaller than 5 MB.

    Parameters
    ----------
    real, labels_key, layer, train, model, normalized, seed
        As in :func:`activa.metrics.evaluate`, whose table is returned and which raises the same errors.
    synthetic
        Generated cells with the same genes, in any order; or a mapping of up to six generators' names to their cells.
    path, overwrite
        HTML file to write, in one step, and whether to replace an existing one; an OSError if it cannot be written.
    batch_key
        Column of ``obs`` with the batches of the real and the synthetic cells, which are then judged as types are.
    name
        Name of the one generator on the page. By default "ACTIVA" if ``synthetic.uns`` says so, else "synthetic cells".
    evaluations
        What :func:`activa.metrics.evaluation.evaluate_sets` gave for the same cells and arguments, by the generators' names,
        where it is known already.

    Examples
    --------
    >>> activa.report(held_out, synthetic, "report.html", labels_key="cell_type", train=train)  # doctest: +SKIP
    >>> activa.report(held_out, {"ACTIVA": synthetic, "scVI": other}, labels_key="cell_type")  # doctest: +SKIP
    """
    path = Path(path)
    if path.suffix not in (".html", ".htm"):
        raise ValueError(f"path must end with '.html', got {str(path)!r}.")
    check_free(path, overwrite=overwrite, what="report")
    generators = _named(synthetic, name)
    form: dict[str, Any] = {"layer": layer, "normalized": normalized}
    check_sets({"real": real} | generators, labels_key=None, layer=layer)
    for key, cells in generators.items():
        values: Any = cells.X if layer is None else cells.layers[layer]
        if not values.sum():
            raise ValueError(f"{key} has no counts at all, which cannot be plotted: give cells that have some.")
    if batch_key is not None:
        check_sets({"real": real} | generators, labels_key=batch_key, layer=layer)
    arguments: dict[str, Any] = {"labels_key": labels_key, "seed": seed} | form
    if evaluations is None:
        evaluations = evaluate_sets(real, generators, train, model, **arguments)
    elif set(evaluations) != set(generators):
        raise ValueError(f"evaluations must be of the generators {list(generators)}, got {list(evaluations)}.")
    parts = {
        key: _describe(real, cells, evaluations[key], labels_key, batch_key, form | {"seed": seed})
        for key, cells in generators.items()
    }
    table = joined(evaluations, isinstance(synthetic, Mapping))
    given = {
        key: value
        for key, value in {"batch_key": batch_key, "train": train, "model": model}.items()
        if value is not None
    }
    page = _render(
        generators=[{"name": key} | part for key, part in parts.items()],
        metrics=metric_rows({key: evaluation.table for key, evaluation in evaluations.items()}),
        half=max(evaluation.splits.half for evaluation in evaluations.values()),
        n_real=real.n_obs,
        n_genes=real.n_vars,
        gene_threshold=f"{gene_threshold(real.n_vars):.1f}",
        plots=_plots(real, generators, evaluations, arguments),
        n_plotted=_MAX_PLOTTED_GENERATORS,
        settings=_settings(real, generators, arguments | given, isinstance(synthetic, Mapping)),
        download=_data_uri("text/tab-separated-values", table.to_csv(sep="\t", lineterminator="\n").encode()),
    )
    with atomic_file(path, overwrite=overwrite, what="report") as part:
        part.write_text(page, encoding="utf-8")
    return table


def _named(synthetic: AnnData | Mapping[str, AnnData], name: str | None) -> dict[str, AnnData]:
    """Cells by the name of their generator on the page."""
    generators = as_generators(synthetic)
    if not isinstance(synthetic, Mapping):
        (cells,) = generators.values()
        known = isinstance(cells, AnnData) and "activa" in cells.uns
        return {name or ("ACTIVA" if known else "synthetic cells"): cells}
    if name is not None:
        raise ValueError(f"name must be None if synthetic is a mapping, whose keys are the names, got {name!r}.")
    if len(generators) > _MAX_GENERATORS:
        raise ValueError(f"synthetic must name at most {_MAX_GENERATORS} generators, got {len(generators)}.")
    return generators


def _describe(
    real: AnnData,
    synthetic: AnnData,
    evaluation: Evaluation,
    labels_key: str | None,
    batch_key: str | None,
    form: Mapping[str, Any],
) -> dict[str, Any]:
    """What the page says of one generator: its verdict, types, batches and genes."""
    splits = evaluation.splits
    types = None if labels_key is None else type_table(splits, form["seed"])
    batches = None if batch_key is None else evaluate_types(real, synthetic, labels_key=batch_key, **form)
    verdict = judge(evaluation.table, types)
    genes = gene_differences(real, synthetic, layer=form["layer"], normalized=form["normalized"])
    return {
        "n_cells": synthetic.n_obs,
        "verdict": verdict,
        "notes": [*proportion_notes(splits.real.cells, splits.synthetic.cells), *verdict.notes],
        "types": None if types is None else type_table_on_page(types),
        "batches": None if batches is None else type_table_on_page(batches),
        "genes": gene_rows(genes),
    }


def _plots(
    real: AnnData,
    generators: Mapping[str, AnnData],
    evaluations: Mapping[str, Evaluation],
    arguments: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """Titles, captions and pictures of the plots that these cells allow, each of all or of the first generators."""
    rng = np.random.default_rng(arguments["seed"])
    shown = {name: _subsample(cells, rng) for name, cells in generators.items()}
    tables = {name: evaluation.table for name, evaluation in evaluations.items()}
    values = dict(arguments) | {"real": _subsample(real, rng)}
    form = {name: arguments[name] for name in ("layer", "normalized", "seed")}
    # two plots show one embedding
    coordinates = {
        name: pl.joint_umap(values["real"], shown[name], **form) for name in list(generators)[:_MAX_PLOTTED_GENERATORS]
    }
    plots = []
    for plot, (title, caption) in progress(_PLOTS.items(), desc="plots"):
        if plot in _OF_ALL_GENERATORS:
            asked = {"": values | {"synthetic": shown, "table": tables}}
        else:
            asked = {
                name: values
                | {"synthetic": shown[name], "splits": evaluations[name].splits, "coordinates": coordinates[name]}
                for name in coordinates
                if plot not in _OF_TYPES or _is_typed(evaluations[name])
            }
        # plots without an argument ``normalized`` need counts
        reads = {"table", "splits", "normalized" if arguments["normalized"] else "layer"}
        if asked and reads & set(signature(plot).parameters):
            pictures = [_picture(plot, of) | {"name": name} for name, of in asked.items()]
            plots.append({"title": title, "caption": caption, "pictures": pictures})
    return plots


def _is_typed(evaluation: Evaluation) -> bool:
    """Whether there are types to plot: several among the real cells, and one that both sets have."""
    if "label_fidelity" not in evaluation.table.index:
        return False
    real, synthetic = (of.cells.types for of in (evaluation.splits.real, evaluation.splits.synthetic))
    return not set(real).isdisjoint(synthetic)


def _subsample(adata: AnnData, rng: np.random.Generator) -> AnnData:
    """At most as many cells as are plotted."""
    if adata.n_obs <= _MAX_PLOTTED:
        return adata
    return adata[np.sort(rng.choice(adata.n_obs, _MAX_PLOTTED, replace=False))]


def _picture(plot: Callable[..., Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """A PNG of the plot as a data URI, with its size; ``values`` holds the plots' arguments."""
    figure = plot(**{name: values[name] for name in signature(plot).parameters if name in values}, return_fig=True)
    drawn, data = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=_DPI, bbox_inches="tight")
    # 256 colors need a third of the space of all
    picture = Image.open(drawn).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    picture.save(data, format="png", optimize=True)
    return {"source": _data_uri("image/png", data.getvalue()), "width": picture.width, "height": picture.height}


def _render(**values: Any) -> str:
    """The page as HTML, from the ``values`` that its template names."""
    # Names of genes, types and generators are foreign text: they are escaped.
    loader = PackageLoader("activa.reporting", "assets")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    style, script = (Markup(loader.get_source(environment, file)[0]) for file in ("report.css", "report.js"))
    date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return environment.get_template("report.html.jinja").render(date=date, style=style, script=script, **values)


def _data_uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _settings(
    real: AnnData, generators: Mapping[str, AnnData], arguments: Mapping[str, Any], named: bool
) -> dict[str, Any]:
    """What is needed to repeat the page: ``call``, ``sizes``, ``versions``, and what ``generators`` say about themselves."""
    given = [
        f"{key}={arguments[key]!r}" for key in ("labels_key", "batch_key", "layer") if arguments.get(key) is not None
    ]
    given += [f"{key}={key}" for key in ("train", "model") if key in arguments]
    given += ["normalized=True"] if arguments["normalized"] else []
    cells = (
        "{" + ", ".join(f"{name!r}: cells_{i + 1}" for i, name in enumerate(generators)) + "}" if named else "synthetic"
    )
    call = ", ".join(["real", cells, '"report.html"', *given, f"seed={arguments['seed']}"])
    sizes = {"real": real.n_obs}
    sizes |= {f"cells_{i + 1}" if named else "synthetic": of.n_obs for i, of in enumerate(generators.values())}
    sizes |= {"train": arguments["train"].n_obs} if "train" in arguments else {}
    told = {
        name: json.dumps(of.uns["activa"], indent=1, default=_plain, ensure_ascii=False)
        for name, of in generators.items()
        if "activa" in of.uns
    }
    versions = {name: version(name) for name in _PACKAGES} | {"Python": platform.python_version()}
    return {"call": f"activa.report({call})", "sizes": sizes, "versions": versions, "told": told}


def _plain(value: Any) -> Any:
    """NumPy values, which AnnData reads from files, as Python's."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)
