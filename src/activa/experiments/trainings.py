"""Models in the default and in the paper's configuration: their cells, their margin, and their cost by number of cells."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, cast

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.sparse import csr_matrix

from activa.arguments import check_choices, check_integers, check_numbers
from activa.data import Cells, check_sets, log_normalize, read_cells, subsample
from activa.metrics import rf_auc, wasserstein
from activa.metrics.space import Space
from activa.model import ACTIVA
from activa.pl.output import documented
from activa.pp import scale_library
from activa.progress import progress
from activa.seeds import check_seed
from activa.train import PAPER_EPOCHS, PAPER_RECIPE, Hinge

Configuration = Literal["default", "paper"]

TYPE = "type"
_PAPER_LIBRARY = 20_000
_PAPER_GAME = cast(Hinge, PAPER_RECIPE.game)
_N_TYPES = 10  # of random cells


def read_labeled(adata: AnnData, labels_key: str, layer: str | None) -> Cells:
    """The labeled counts of one set, checked."""
    check_sets({"adata": adata}, labels_key, layer)
    return read_cells({"adata": adata}, labels_key=labels_key, layer=layer, normalized=False)["adata"]


def model_input(cells: Cells, genes: pd.Index, configuration: Configuration) -> AnnData:
    """Cells as the configuration takes them: counts, for the paper's scaled to 20,000 per cell."""
    obs = pd.DataFrame({TYPE: pd.Categorical(cells.types)}, index=np.arange(len(cells)).astype(str))
    adata = AnnData(csr_matrix(cells.counts, dtype=np.float32), obs=obs, var=pd.DataFrame(index=genes.astype(str)))
    if configuration == "paper":
        scale_library(adata, _PAPER_LIBRARY)
    return adata


def train_configuration(
    cells: Cells, genes: pd.Index, configuration: Configuration, *, seed: int = 0, **train_kwargs: Any
) -> ACTIVA:
    """A trained model; ``train_kwargs`` are arguments of :meth:`activa.ACTIVA.train`."""
    model = make_model(model_input(cells, genes, configuration), configuration, seed)
    model.train(seed=seed, **train_kwargs)
    return model


def make_model(adata: AnnData, configuration: Configuration, seed: int) -> ACTIVA:
    """A new model of the cells of :func:`model_input`."""
    ACTIVA.setup_anndata(adata, labels_key=TYPE)
    return ACTIVA.paper(adata, seed=seed) if configuration == "paper" else ACTIVA(adata, seed=seed)


def draw_values(model: ACTIVA, labels: np.ndarray, *, seed: int = 0) -> AnnData:
    """One generated cell per label. A model that knows no types, as in the paper, decodes N(0, I) and classifies the cells."""
    if model.module.knows_types:
        return model.generate(labels=list(labels), seed=seed)
    z = np.random.default_rng(seed).normal(size=(len(labels), model.module.n_latent))
    made = model.generate(labels=list(labels), z=z, seed=seed)
    made.obs[TYPE] = model.predict(made)
    return made


def draw_cells(model: ACTIVA, labels: np.ndarray, *, seed: int = 0) -> Cells:
    """The cells of :func:`draw_values` as log1p of values scaled to 10,000."""
    made = draw_values(model, labels, seed=seed)
    return Cells(log_normalize(made.X), None, np.asarray(made.obs[TYPE], dtype=str))


@documented
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
    """Train with each margin m, and compare the generated cells with held-out cells.

    This is the second strategy of the paper's supplement G; ``Hinge(margin=None)`` is the first.

    {parameters, adata, configuration}
    margins, max_epochs, n_epochs_warmup
        Margins in nats, tried from the largest; epochs of each training and its warm-up. None: the configuration's.
    held_out, seed
        Share of each type that is not trained on; and the one seed of all else.

    Returns
    -------
    One row per margin: ``margin``, ``rf_auc`` and ``wasserstein`` against the held-out cells (50 principal components,
    fitted on both sets together for the forest and on training cells for the distance), ``seconds`` of training, and
    ``best``, True for the smallest area under the curve.
    {errors, reference}

    Examples
    --------
    >>> table = margin_search(adata, labels_key="cell_type", max_epochs=100, n_epochs_warmup=10)  # doctest: +SKIP
    >>> model.train(game=Hinge(margin=table.loc[table["best"], "margin"].item()))  # doctest: +SKIP
    """
    check_choices(configuration=(configuration, Configuration))
    margins = sorted({float(margin) for margin in margins}, reverse=True)
    if not margins or not all(0 <= margin < np.inf for margin in margins):
        raise ValueError(f"margins must be one or several finite numbers from 0 on, got {margins}.")
    seed = check_seed(seed)
    train, test = _split(read_labeled(adata, labels_key, layer), held_out, seed)
    space = Space(train, seed)
    game = _PAPER_GAME if configuration == "paper" else Hinge()
    if n_epochs_warmup is not None:
        game = replace(game, n_epochs_warmup=n_epochs_warmup)
    rows = []
    for margin in progress(margins, desc="margin_search"):
        start = time.perf_counter()
        options = {"max_epochs": max_epochs, "game": replace(game, margin=margin), "enable_progress_bar": False}
        model = train_configuration(train, adata.var_names, configuration, seed=seed, **options)
        seconds = time.perf_counter() - start
        made = draw_cells(model, test.types, seed=seed)
        area = rf_auc(*space.project_together(test, made), seed=seed)
        distance = wasserstein(space.project(test), space.project(made), seed=seed)
        rows.append({"margin": margin, "rf_auc": area, "wasserstein": distance, "seconds": seconds})
    table = pd.DataFrame(rows)
    return table.assign(best=table.index == table["rf_auc"].idxmin())


def _split(cells: Cells, held_out: float, seed: int) -> tuple[Cells, Cells]:
    """Training and held-out cells."""
    n_test = int(held_out * len(cells)) if 0 < held_out < 1 else 0
    if min(n_test, len(cells) - n_test) < 5:
        raise ValueError(f"held_out={held_out} must leave at least 5 cells on a side, got {n_test} of {len(cells)}.")
    held = subsample(len(cells), n_test, np.random.default_rng(seed), cells.labels)
    return cells.take(np.setdiff1d(np.arange(len(cells)), held)), cells.take(held)


@documented
def scaling(
    n_cells: Sequence[int] = (100_000, 200_000, 500_000),
    *,
    n_genes: int = 17_789,
    density: float = 0.3,
    configuration: Configuration = "default",
    max_epochs: int | None = None,
    n_generated: int = 100_000,
    accelerator: str = "auto",
    seed: int = 0,
) -> pd.DataFrame:
    """Time to train and to generate on random matrices in memory (table S4 of the paper).

    Parameters
    ----------
    n_cells, n_genes, density
        Cells of each matrix (of ten random types), run from the smallest; genes; share of nonzero values, from 1 to 10.
    {configuration}
    max_epochs, n_generated
        Epochs (None: those of the configuration; the paper's warm-up keeps its share of them), and cells to generate,
        4,096 at a time; for ``"paper"`` without its classifier's filter.
    accelerator, seed
        Where to train, as for :meth:`activa.ACTIVA.train`, and the seed of matrices, training and generation.

    Returns
    -------
    One row per matrix: ``n_cells``, ``n_genes``, ``configuration``, ``device``, ``epochs``, ``seconds_train`` (to make
    and train the model), ``seconds_per_epoch`` (of training alone), ``n_generated`` and ``seconds_generate``. A
    TypeError or ValueError if an argument is out of range.
    {reference}

    Examples
    --------
    >>> scaling((100_000, 200_000), max_epochs=2)  # doctest: +SKIP
    """
    check_choices(configuration=(configuration, Configuration))
    if not (n_cells := sorted(n_cells)):
        raise ValueError("n_cells must name at least one number, got none.")
    check_integers(n_cells=n_cells[0], n_genes=n_genes, n_generated=n_generated)
    check_integers(max_epochs=max_epochs, optional=True)
    check_numbers(least=1 / n_genes, most=1, density=density)
    rows = []
    for n in progress(n_cells, desc="Scaling", unit="matrix"):
        adata = random_cells(n, n_genes, density, configuration, seed)
        costs = time_model(adata, configuration, max_epochs, n_generated, accelerator, seed)
        rows.append({"n_cells": n, "n_genes": n_genes, "configuration": configuration} | costs)
    return pd.DataFrame(rows)


def random_cells(
    n_cells: int, n_genes: int, density: float, configuration: Configuration, seed: int | Sequence[int]
) -> AnnData:
    """Cells of random types, each with counts from 1 to 10 in the same number of random genes, as the configuration takes them."""
    rng, n_expressed = np.random.default_rng(seed), round(density * n_genes)
    genes = np.empty((n_cells, n_expressed), np.int32)
    for row in genes:
        row[:] = np.sort(rng.choice(n_genes, n_expressed, replace=False, shuffle=False))
    counts = rng.integers(1, 11, size=genes.size, dtype=np.uint8).astype(np.float32)
    ends = np.arange(0, genes.size + 1, n_expressed)
    names: Any = [f"type{i}" for i in range(_N_TYPES)]
    types = pd.Categorical.from_codes(rng.permutation(n_cells) % _N_TYPES, names)
    obs = pd.DataFrame({TYPE: types}, index=[f"cell{i}" for i in range(n_cells)])
    var = pd.DataFrame(index=[f"gene{i}" for i in range(n_genes)])
    adata = AnnData(csr_matrix((counts, genes.ravel(), ends), shape=(n_cells, n_genes)), obs=obs, var=var)
    if configuration == "paper":
        scale_library(adata, _PAPER_LIBRARY)
    return adata


def time_model(
    adata: AnnData, configuration: Configuration, max_epochs: int | None, n_generated: int, accelerator: str, seed: int
) -> dict[str, Any]:
    """Seconds to train on these cells and to generate, with device and epochs."""
    start = time.perf_counter()
    model = make_model(adata, configuration, seed)
    game = None
    if configuration == "paper" and max_epochs is not None:
        warmup = cast(int, _PAPER_GAME.n_epochs_warmup) / PAPER_EPOCHS
        game = replace(_PAPER_GAME, n_epochs_warmup=math.floor(warmup * max_epochs))
    made = time.perf_counter()
    model.train(max_epochs, game=game, accelerator=accelerator, seed=seed)
    trained = time.perf_counter()
    # expected values are not filtered; the classifier, which cannot learn random types, would keep no cell
    for _ in model.generate_batches(n_generated, seed=seed, expected=configuration == "paper"):
        pass
    seconds_generate, epochs = time.perf_counter() - trained, model.trainer.current_epoch
    costs = {"device": model.device.type, "epochs": epochs, "seconds_train": trained - start}
    costs["seconds_per_epoch"] = (trained - made) / epochs
    return costs | {"n_generated": n_generated, "seconds_generate": seconds_generate}
