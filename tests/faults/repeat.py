"""One small run, and what came of it: for the comparison of processes, of threads, of what was saved and read."""

from __future__ import annotations

import hashlib
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))  # as in pytest
from tests_helpers import QUIET, make_counts

from activa import ACTIVA


def weights_of(model: ACTIVA) -> str:
    """A hash of the weights' bits."""
    return _digest(*(value.numpy() for _, value in sorted(model.module.state_dict().items())))


def cells_of(model: ACTIVA) -> str:
    """A hash of 700 cells, their types, batches and counts."""
    cells = model.generate(700, seed=3)
    labels = [cells.obs[key].cat.codes.to_numpy() for key in ("cell_type", "batch")]
    return _digest(cells.X.data, cells.X.indices, cells.X.indptr, *labels)


def _digest(*arrays: np.ndarray) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def trained(**kwargs) -> ACTIVA:
    """A model of some types and batches, trained by a seed."""
    adata = make_counts(300, 60)
    ACTIVA.setup_anndata(adata, labels_key="cell_type", batch_key="batch")
    model = ACTIVA(adata, n_hidden=(32,), n_latent=5, seed=1)
    model.train(max_epochs=3, batch_size=100, seed=2, **QUIET, **kwargs)
    return model


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    if len(sys.argv) > 1:
        torch.set_num_threads(int(sys.argv[1]))
    model = trained()
    with tempfile.TemporaryDirectory() as folder:
        model.export(Path(folder) / "model")
        print(
            weights_of(model), cells_of(model), cells_of(ACTIVA.from_export(Path(folder) / "model", accelerator="cpu"))
        )
