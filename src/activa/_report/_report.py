from __future__ import annotations

from os import PathLike
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData
from tqdm.auto import tqdm

from activa.data import check_sets, read_cells
from activa.io.atomic import atomic_file, check_free
from activa.metrics._evaluate import choose, compare, met, tabulate

from ._page import render
from ._per_type import per_type
from ._pictures import draw, pictures_of
from ._settings import settings_of
from ._verdict import verdict

_MAX_DRAWN = 5000


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
    """Judge synthetic cells against real ones, on one self-contained page.

    The page opens with what a random forest can tell, beside what it can tell between two sets of real cells; then come
    all metrics of :func:`activa.metrics.evaluate` with what they mean, a table of the types that can be sorted, the plots
    of :mod:`activa.pl`, and the settings and versions to repeat it. The cells can be any generator's. The file needs no
    network, and is below 5 MB.

    Parameters
    ----------
    real
        Held-out real cells, which the generator has not seen: cells x genes of counts.
    synthetic
        Generated cells with the same genes, in any order.
    path
        HTML file to write. It appears when it is whole.
    labels_key, layer, train, floor, normalized
        As for :func:`activa.metrics.evaluate`.
    name
        What the page calls the generator. By default what ``synthetic.uns["activa"]`` says, or "synthetic cells".
    overwrite
        Whether to replace a file that is there.
    seed
        Seed of the comparison, of the cells that are drawn (5,000 of each set at most) and of the UMAP. Global random
        state is left alone.

    Returns
    -------
    The table of :func:`activa.metrics.evaluate`.

    Raises
    ------
    KeyError, TypeError, ValueError
        As :func:`activa.metrics.evaluate` for the same arguments; and if ``path`` is no ``.html`` file.
    FileExistsError
        If ``path`` is there and ``overwrite`` is not set.
    FileNotFoundError, NotADirectoryError, PermissionError
        If the folder of ``path`` is not there, or cannot be written in.

    Examples
    --------
    >>> activa.report(held_out, synthetic, "report.html", labels_key="cell_type", train=train)  # doctest: +SKIP
    """
    path = Path(path)
    if path.suffix not in (".html", ".htm"):
        raise ValueError(f"path={str(path)!r} must end with '.html'.")
    check_free(path, overwrite=overwrite, what="report")
    optional = {"floor": floor, "train": train}
    sets = {"real": real, "synthetic": synthetic} | {k: adata for k, adata in optional.items() if adata is not None}
    check_sets(sets, labels_key, layer)
    chosen = choose(None, met(real, train, labels_key, normalized))
    cells = read_cells(sets, labels_key=labels_key, layer=layer, normalized=normalized)

    comparisons = compare(cells, seed)
    table = tabulate(chosen, *comparisons)
    types = None if labels_key is None else per_type(cells["real"], cells["synthetic"], *comparisons)
    rng = np.random.default_rng(seed)
    drawn = _drawn(real, rng), _drawn(synthetic, rng)
    wanted = pictures_of(cells["real"], cells["synthetic"], normalized=normalized)
    arguments = {"labels_key": labels_key, "layer": layer, "normalized": normalized, "seed": seed}
    figures = [draw(picture, *drawn, table, arguments) for picture in tqdm(wanted, desc="report", leave=False)]
    page = render(
        name=name or ("ACTIVA" if "activa" in synthetic.uns else "synthetic cells"),
        sizes={key: len(read) for key, read in cells.items()} | {"compared": len(comparisons[0].real)},
        n_genes=real.n_vars,
        verdict=verdict(table, cells["real"], cells["synthetic"], len(comparisons[0].real)),
        table=table,
        types=types,
        figures=figures,
        settings=settings_of(synthetic, optional, labels_key, layer, normalized, seed),
    )
    with atomic_file(path, overwrite=overwrite, what="report") as part:
        part.write_text(page, encoding="utf-8")
    return table


def _drawn(adata: AnnData, rng: np.random.Generator) -> AnnData:
    if adata.n_obs <= _MAX_DRAWN:
        return adata
    return adata[np.sort(rng.choice(adata.n_obs, _MAX_DRAWN, replace=False))]
