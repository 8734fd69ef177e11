"""How time and memory grow with the number of cells."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from tqdm.auto import tqdm

from activa.arguments import check_choices
from activa.experiments._configurations import Configuration
from activa.experiments._random_cells import LABELS_KEY, bytes_in_memory, random_cells, write_random_cells
from activa.model import ACTIVA
from activa.train import Hinge

_PAPER_EPOCHS, _PAPER_WARMUP = 610, 10


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
    n_cells
        Cells of each matrix; they are run through from the smallest.
    n_genes
        Genes.
    density
        Share of the entries that are not zero, at random places; they are whole numbers from 1 to 10. The cells are of ten
        types, at random.
    configuration
        ``"default"``: :class:`activa.ACTIVA`; ``"paper"``: :meth:`activa.ACTIVA.paper`, on cells scaled to 20,000.
    max_epochs
        Epochs; by default those of the configuration (610 for the paper's). With fewer of the paper's, its warm-up of 10
        takes the same share of them, so that an epoch costs the same on average.
    n_generated
        Cells to generate, of which 4,096 are held at a time. The paper's are not filtered by the classifier, which cannot
        learn random types.
    folder
        Folder for matrices larger than memory: each is written to a file in it, 10,000 cells at a time, trained on from
        there and removed. An epoch then includes reading. By default matrices are made in memory.
    accelerator
        Where to train, as of :meth:`activa.ACTIVA.train`.
    seed
        Seed of matrices, training and generation.

    Returns
    -------
    A row a matrix: ``n_cells``, ``n_genes``, ``configuration``, ``in_memory``, ``device``, ``epochs``, ``seconds_train``
    (the model made and trained), ``seconds_per_epoch`` (of training alone), ``n_generated``, ``seconds_generate``,
    ``peak_gb`` (10^9 bytes; of the whole process so far, so run it in a fresh one; NaN on Windows) and ``peak_gpu_gb`` (of
    PyTorch's tensors; NaN without a GPU).

    Raises
    ------
    ValueError
        If a number is out of range, ``configuration`` is none of its choices, or ``folder`` is no folder.
    MemoryError
        Without ``folder``, if a matrix would not fit in the machine's memory; before any work begins.

    References
    ----------
    Table S4 of Heydari et al. 2022, doi:10.1093/bioinformatics/btac095.

    Examples
    --------
    >>> table = scaling((100_000, 200_000), max_epochs=2)
    >>> activa.pl.scaling(table)
    """
    check_choices(configuration=(configuration, Configuration))
    n_cells = sorted(n_cells)
    if not n_cells:
        raise ValueError("n_cells must name at least one number.")
    numbers = {"n_cells": n_cells[0], "n_genes": n_genes, "max_epochs": max_epochs, "n_generated": n_generated}
    for name, value in numbers.items():
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}.")
    if not 0 < density <= 1 or round(density * n_genes) < 1:
        raise ValueError(f"density must be above 0 and at most 1, and leave each cell a count, got {density}.")
    if folder is not None and not Path(folder).is_dir():
        raise ValueError(f"folder={str(folder)!r} is no folder: make it first.")
    if folder is None:
        _check_memory(n_cells[-1], n_genes, density)

    scale = 20_000 if configuration == "paper" else None
    rows = []
    for n in tqdm(n_cells, desc="Scaling", unit="matrix"):
        shape: dict[str, Any] = {"n_genes": n_genes, "density": density, "library_size": scale, "seed": seed}
        if folder is None:
            measured = _measure(random_cells(n, **shape), configuration, max_epochs, n_generated, accelerator, seed)
        else:
            with TemporaryDirectory(dir=folder, prefix="scaling-") as own:
                adata = ad.read_h5ad(write_random_cells(Path(own) / "cells.h5ad", n, **shape), backed="r")
                try:
                    measured = _measure(adata, configuration, max_epochs, n_generated, accelerator, seed)
                finally:
                    adata.file.close()
        about = {"n_cells": n, "n_genes": n_genes, "configuration": configuration, "in_memory": folder is None}
        rows.append(about | measured)
    return pd.DataFrame(rows)


def _measure(
    adata: AnnData, configuration: Configuration, max_epochs: int | None, n_generated: int, accelerator: str, seed: int
) -> dict[str, Any]:
    has_gpu = torch.cuda.is_available()
    if has_gpu:
        torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    ACTIVA.setup_anndata(adata, labels_key=LABELS_KEY)
    game = None
    if configuration == "paper":
        model = ACTIVA.paper(adata, seed=seed)
        if max_epochs is not None:
            game = Hinge(margin=110, n_epochs_warmup=math.floor(_PAPER_WARMUP * max_epochs / _PAPER_EPOCHS))
    else:
        model = ACTIVA(adata, seed=seed)
    made = time.perf_counter()
    model.train(max_epochs, accelerator=accelerator, seed=seed, game=game)
    trained = time.perf_counter()
    # No classifier could tell random types apart, so that the paper's would keep none of the cells: they are left unfiltered.
    expected = configuration == "paper"
    for _ in model.generate_batches(n_generated, seed=seed, expected=expected):
        pass
    generated = time.perf_counter()
    epochs = model.trainer.current_epoch
    return {
        "device": model.device.type,
        "epochs": epochs,
        "seconds_train": trained - start,
        "seconds_per_epoch": (trained - made) / epochs,
        "n_generated": n_generated,
        "seconds_generate": generated - trained,
        "peak_gb": _peak_gb(),
        "peak_gpu_gb": torch.cuda.max_memory_allocated() / 1e9 if has_gpu else np.nan,
    }


def _check_memory(n_cells: int, n_genes: int, density: float) -> None:
    if not hasattr(os, "sysconf"):  # Windows does not tell
        return
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if (needed := bytes_in_memory(n_cells, n_genes, density)) > there:
        raise MemoryError(
            f"n_cells={n_cells:,} of {n_genes:,} genes at density={density} take {needed / 1e9:.0f} GB, and the machine has "
            f"{there / 1e9:.0f} GB: give folder= to train from files, or fewer cells."
        )


def _peak_gb() -> float:
    """Most memory that the process has held, in 10^9 bytes."""
    if sys.platform == "win32":
        return float("nan")
    import resource

    # kilobytes, but on macOS bytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9
