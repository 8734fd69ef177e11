"""The margin m of the hinge, from large to 0."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from tqdm.auto import tqdm

from activa.data import check_sets, read_cells, subsample
from activa.experiments._configurations import Configuration, draw_cells, train_configuration
from activa.metrics import rf_auc, wasserstein
from activa.metrics._space import Space
from activa.seeds import check_seed
from activa.train import PAPER_RECIPE, Hinge


def margin_search(
    adata: AnnData,
    *,
    labels_key: str,
    layer: str | None = None,
    margins: Sequence[float] = (220.0, 110.0, 55.0, 25.0, 10.0, 0.0),
    configuration: Configuration = "paper",
    max_epochs: int | None = None,
    n_epochs_warmup: int | None = None,
    held_out: float = 0.2,
    seed: int = 0,
) -> pd.DataFrame:
    """Train with each margin m, and compare what is generated with cells that were held out.

    Parameters
    ----------
    adata
        Cells x genes of counts; left as it is.
    labels_key
        Column of ``obs`` with the types.
    layer
        Layer of the counts; ``X`` by default.
    margins
        Margins in nats, tried from the largest to the smallest.
    configuration
        ``"paper"`` (:meth:`activa.ACTIVA.paper`, on counts scaled to 20,000), or ``"default"``, with the hinge.
    max_epochs, n_epochs_warmup
        Epochs of each training and of them in the warm-up; the configuration's by default.
    held_out
        Share of each type that is not trained on.
    seed
        Seed of split, training, draws and forests: the trainings differ by the margin alone.

    Returns
    -------
    A row a margin: ``margin``, ``rf_auc`` and ``wasserstein`` against the held-out cells (50 principal components, fitted
    on both sets together for the forest and on training cells for the distance), ``seconds`` of training, and ``best``,
    true for the smallest area under the curve.

    Raises
    ------
    KeyError, TypeError, ValueError
        If the cells are not labeled counts, a margin is negative or none is given, or ``held_out`` leaves fewer than five
        cells on a side.

    References
    ----------
    Supplement G of Heydari et al. 2022, doi:10.1093/bioinformatics/btac095: its second strategy. The first, the KL at the
    end of the warm-up, is ``Hinge()``.

    Examples
    --------
    >>> table = margin_search(adata, labels_key="cell_type", max_epochs=100, n_epochs_warmup=10)
    >>> m = table.loc[table["best"], "margin"].item()
    >>> model.train(game=Hinge(margin=m))
    >>> activa.pl.margin_search(table)
    """
    if configuration not in ("default", "paper"):
        raise ValueError(f"configuration must be 'default' or 'paper', got {configuration!r}.")
    margins = sorted({float(margin) for margin in margins}, reverse=True)
    if not margins or not all(0 <= margin < np.inf for margin in margins):
        raise ValueError(f"margins must be one or several finite numbers from 0 up, got {margins}.")
    seed = check_seed(seed)
    check_sets({"adata": adata}, labels_key, layer)
    cells = read_cells({"adata": adata}, labels_key=labels_key, layer=layer, normalized=False)["adata"]
    n_test = int(held_out * len(cells)) if 0 < held_out < 1 else 0
    if min(n_test, len(cells) - n_test) < 5:
        raise ValueError(
            f"held_out={held_out} leaves {n_test} of {len(cells)} cells to compare with; at least 5 on a side."
        )
    held = subsample(len(cells), n_test, np.random.default_rng(seed), cells.labels)
    test, train = cells.take(held), cells.take(np.setdiff1d(np.arange(len(cells)), held))
    space = Space(train, seed)

    game: Any = PAPER_RECIPE.game if configuration == "paper" else Hinge()
    game = replace(game, n_epochs_warmup=game.n_epochs_warmup if n_epochs_warmup is None else n_epochs_warmup)
    rows = []
    for margin in tqdm(margins, desc="margin_search", leave=False):
        start = time.perf_counter()
        model = train_configuration(
            train,
            adata.var_names,
            configuration,
            max_epochs=max_epochs,
            game=replace(game, margin=margin),
            seed=seed,
            enable_progress_bar=False,
        )
        seconds = time.perf_counter() - start
        made = draw_cells(model, test.types, seed=seed)
        area = rf_auc(*space.project_together(test, made), seed=seed)
        distance = wasserstein(space.project(test), space.project(made), seed=seed)
        rows.append({"margin": margin, "rf_auc": area, "wasserstein": distance, "seconds": seconds})
    table = pd.DataFrame(rows)
    table["best"] = table.index == table["rf_auc"].idxmin()
    return table
