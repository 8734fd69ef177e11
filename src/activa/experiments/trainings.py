"""Models in the default and in the paper's configuration: made comparable, by margin, and by the number of cells."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, cast

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from scipy.sparse import csr_matrix
from tqdm.auto import tqdm

from activa.arguments import check_choices, check_integers, check_numbers
from activa.data import Cells, check_sets, log_normalize, read_cells, subsample
from activa.experiments.random_cells import LABELS_KEY, check_memory, random_cells
from activa.metrics import rf_auc, wasserstein
from activa.metrics.space import Space
from activa.model import ACTIVA
from activa.pp import scale_library
from activa.seeds import check_seed
from activa.train import PAPER_EPOCHS, PAPER_RECIPE, Hinge

Configuration = Literal["default", "paper"]

TYPE = "type"
_PAPER_LIBRARY = 20_000
_PAPER_GAME = cast(Hinge, PAPER_RECIPE.game)
_PAPER_WARMUP = cast(int, _PAPER_GAME.n_epochs_warmup)


def model_input(cells: Cells, genes: pd.Index, configuration: Configuration) -> AnnData:
    """Cells as the configuration takes them: counts, for the paper's scaled to 20,000 per cell."""
    obs = pd.DataFrame({TYPE: pd.Categorical(cells.types)}, index=np.arange(len(cells)).astype(str))
    adata = AnnData(csr_matrix(cells.counts, dtype=np.float32), obs=obs, var=pd.DataFrame(index=genes.astype(str)))
    if configuration == "paper":
        scale_library(adata, _PAPER_LIBRARY)
    return adata


def train_configuration(
    cells: Cells,
    genes: pd.Index,
    configuration: Configuration,
    *,
    max_epochs: int | None = None,
    seed: int = 0,
    **train_kwargs: Any,
) -> ACTIVA:
    """A trained model; ``train_kwargs`` are arguments of :meth:`activa.ACTIVA.train`."""
    adata = model_input(cells, genes, configuration)
    ACTIVA.setup_anndata(adata, labels_key=TYPE)
    model = ACTIVA.paper(adata, seed=seed) if configuration == "paper" else ACTIVA(adata, seed=seed)
    model.train(max_epochs, seed=seed, **train_kwargs)
    return model


def draw_values(model: ACTIVA, labels: np.ndarray, *, seed: int = 0) -> AnnData:
    """One generated cell per label.

    If prior and generator do not know types, as in the paper, N(0, I) is decoded and the classifier assigns the types.
    """
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

    Parameters
    ----------
    adata
        Cells x genes of counts; it does not change.
    labels_key
        Column of ``obs`` with the types.
    layer
        Layer of the counts. None: ``X``.
    margins
        Margins in nats, tried from the largest to the smallest.
    configuration
        ``"paper"`` (:meth:`activa.ACTIVA.paper`, on counts scaled to 20,000) or ``"default"``, with the hinge.
    max_epochs, n_epochs_warmup
        Epochs of each training, and of its warm-up. None: those of the configuration.
    held_out
        Share of each type that is not trained on.
    seed
        Seed of split, training, generation and forests: the trainings differ by the margin alone.

    Returns
    -------
    One row per margin: ``margin``, ``rf_auc`` and ``wasserstein`` against the held-out cells (50 principal components,
    fitted on both sets together for the forest and on training cells for the distance), ``seconds`` of training, and
    ``best``, True for the smallest area under the curve.

    Raises
    ------
    KeyError, TypeError, ValueError
        If the cells are not labeled counts, a margin is negative or none is given, or ``held_out`` leaves fewer than five
        cells on a side.

    References
    ----------
    Supplement G of Heydari et al. 2022, doi:10.1093/bioinformatics/btac095: its second strategy. The first, the KL at the
    end of the warm-up, is ``Hinge(margin=None)``.

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
    train, test = _split(adata, labels_key, layer, held_out, seed)
    space = Space(train, seed)
    game = _PAPER_GAME if configuration == "paper" else Hinge()
    if n_epochs_warmup is not None:
        game = replace(game, n_epochs_warmup=n_epochs_warmup)
    rows = []
    for margin in tqdm(margins, desc="margin_search", leave=False):
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


def _split(adata: AnnData, labels_key: str, layer: str | None, held_out: float, seed: int) -> tuple[Cells, Cells]:
    """Training and held-out cells."""
    check_sets({"adata": adata}, labels_key, layer)
    cells = read_cells({"adata": adata}, labels_key=labels_key, layer=layer, normalized=False)["adata"]
    n_test = int(held_out * len(cells)) if 0 < held_out < 1 else 0
    if min(n_test, len(cells) - n_test) < 5:
        raise ValueError(f"held_out={held_out} must leave at least 5 cells on a side, got {n_test} of {len(cells)}.")
    held = subsample(len(cells), n_test, np.random.default_rng(seed), cells.labels)
    return cells.take(np.setdiff1d(np.arange(len(cells)), held)), cells.take(held)


def scaling(
    n_cells: Sequence[int] = (100_000, 200_000, 500_000),
    *,
    n_genes: int = 17_789,
    density: float = 0.3,
    configuration: Configuration = "default",
    max_epochs: int | None = None,
    n_generated: int = 100_000,
    folder: str | os.PathLike[str] | None = None,
    accelerator: str = "auto",
    seed: int = 0,
) -> pd.DataFrame:
    """Time to train and to generate, and memory, on random matrices.

    Parameters
    ----------
    n_cells, n_genes
        Cells of each matrix, run from the smallest, and genes.
    density
        Share of nonzero values, whole numbers from 1 to 10 at random places. The cells have ten random types.
    configuration
        ``"default"``: :class:`activa.ACTIVA`; ``"paper"``: :meth:`activa.ACTIVA.paper`, on cells scaled to 20,000.
    max_epochs
        Epochs. None: those of the configuration (610 for the paper's). The paper's warm-up keeps its share of them, so that
        the mean cost of an epoch does not change.
    n_generated
        Cells to generate, 4,096 at a time; for ``"paper"`` without its classifier's filter, which cannot learn random types.
    folder
        Folder for matrices larger than memory: each is written to a file, trained on from there, and removed, so that an
        epoch includes reading. None: in memory.
    accelerator, seed
        Where to train, as for :meth:`activa.ACTIVA.train`, and the seed of matrices, training and generation.

    Returns
    -------
    One row per matrix: ``n_cells``, ``n_genes``, ``configuration``, ``in_memory``, ``device``, ``epochs``, ``seconds_train``
    (to make and train the model), ``seconds_per_epoch`` (of training alone), ``n_generated``, ``seconds_generate``,
    ``peak_gb`` (10^9 bytes, of the whole process so far, so use a fresh one; NaN on Windows) and ``peak_gpu_gb`` (of
    PyTorch's tensors; NaN without a GPU).

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range, or ``folder`` does not exist.
    MemoryError
        Without ``folder``, before any work, if a matrix is larger than the machine's memory.

    References
    ----------
    Table S4 of Heydari et al. 2022, doi:10.1093/bioinformatics/btac095.

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
    if folder is None:
        check_memory(n_cells[-1], n_genes, density)
    elif not Path(folder).is_dir():
        raise ValueError(f"folder must exist, got {str(folder)!r}: create it first.")
    library_size = _PAPER_LIBRARY if configuration == "paper" else None
    rows = []
    for n in tqdm(n_cells, desc="Scaling", unit="matrix"):
        with TemporaryDirectory(dir=folder, prefix="scaling-") as own:
            path = None if folder is None else Path(own) / "cells.h5ad"
            adata = random_cells(n, n_genes=n_genes, density=density, library_size=library_size, seed=seed, path=path)
            about = {"n_cells": n, "n_genes": n_genes, "configuration": configuration, "in_memory": folder is None}
            try:
                rows.append(about | measure(adata, configuration, max_epochs, n_generated, accelerator, seed))
            finally:
                if path is not None:
                    adata.file.close()
    return pd.DataFrame(rows)


def measure(
    adata: AnnData, configuration: Configuration, max_epochs: int | None, n_generated: int, accelerator: str, seed: int
) -> dict[str, Any]:
    """Time and memory to train on these cells and to generate."""
    has_gpu = torch.cuda.is_available()
    if has_gpu:
        torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    ACTIVA.setup_anndata(adata, labels_key=LABELS_KEY)
    is_paper = configuration == "paper"
    model = ACTIVA.paper(adata, seed=seed) if is_paper else ACTIVA(adata, seed=seed)
    game = None
    if is_paper and max_epochs is not None:
        game = replace(_PAPER_GAME, n_epochs_warmup=math.floor(_PAPER_WARMUP * max_epochs / PAPER_EPOCHS))
    made = time.perf_counter()
    model.train(max_epochs, game=game, accelerator=accelerator, seed=seed)
    trained = time.perf_counter()
    # expected values are not filtered; the classifier, which cannot learn random types, would keep no cell
    for _ in model.generate_batches(n_generated, seed=seed, expected=is_paper):
        pass
    epochs = model.trainer.current_epoch
    return {
        "device": model.device.type,
        "epochs": epochs,
        "seconds_train": trained - start,
        "seconds_per_epoch": (trained - made) / epochs,
        "n_generated": n_generated,
        "seconds_generate": time.perf_counter() - trained,
        "peak_gb": _peak_gb(),
        "peak_gpu_gb": torch.cuda.max_memory_allocated() / 1e9 if has_gpu else np.nan,
    }


def _peak_gb() -> float:
    """Peak memory of the process, in 10^9 bytes."""
    if sys.platform == "win32":
        return float("nan")
    import resource

    # kilobytes, but bytes on macOS
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9
