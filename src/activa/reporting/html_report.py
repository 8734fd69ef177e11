"""The report as a file: compares, plots and writes the page."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from importlib.metadata import version
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from tqdm.auto import tqdm

from activa.io.atomic import atomic_file, check_free
from activa.metrics.evaluation import evaluate_sets
from activa.reporting.judgment import judge, judge_types
from activa.reporting.page import choose_plots, plot_image, render

_MAX_PLOTTED = 5000
_PACKAGES = ("activa-sc", "anndata", "numpy", "scanpy", "scikit-learn", "scipy", "scvi-tools", "torch")


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

    The page shows how well a random forest tells the cells from real ones, all metrics of
    :func:`activa.metrics.evaluate` and their meaning, a sortable table of types, the plots of :mod:`activa.pl`, and the
    settings and versions to repeat it. The file needs no network and is smaller than 5 MB.

    Parameters
    ----------
    real, synthetic, labels_key, layer, train, floor, normalized
        As in :func:`activa.metrics.evaluate`.
    path
        HTML file to write, in one step.
    name
        Name of the generator on the page. By default "ACTIVA" if ``synthetic.uns`` says so, else "synthetic cells".
    overwrite
        Whether to replace an existing file.
    seed
        Random seed for the comparison, the plotted cells (at most 5,000 per set) and the UMAP. Global random state is
        not changed.

    Returns
    -------
    The table of :func:`activa.metrics.evaluate`.

    Raises
    ------
    KeyError, TypeError, ValueError
        As in :func:`activa.metrics.evaluate`; and if ``path`` is not an ``.html`` file.
    FileExistsError, FileNotFoundError, NotADirectoryError, PermissionError
        If ``path`` exists and ``overwrite`` is not set, or if its folder does not exist or is not writable.

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
    plotted = {"real": _subsample(real, rng), "synthetic": _subsample(synthetic, rng), "table": table}
    plots = choose_plots(cells["real"], cells["synthetic"], normalized=normalized)
    images = [plot_image(plot, plotted | arguments) for plot in tqdm(plots, desc="report", leave=False)]
    n_compared = len(at_value.real)
    page = render(
        name=name or ("ACTIVA" if "activa" in synthetic.uns else "synthetic cells"),
        sizes={key: len(read) for key, read in cells.items()} | {"compared": n_compared},
        n_genes=real.n_vars,
        verdict=judge(table, cells["real"], cells["synthetic"], n_compared),
        table=table,
        types=types,
        images=images,
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
