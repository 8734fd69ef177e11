"""What is done in processes that are killed: training with checkpoints; writing the same path again and again."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import anndata as ad
import torch
from lightning.pytorch.callbacks import Callback

import activa
from activa import ACTIVA

EPOCHS = 12
SETTINGS = {"n_hidden": (512,), "n_latent": 8}
TRAINING: dict[str, Any] = {"max_epochs": EPOCHS, "batch_size": 350, "enable_progress_bar": False, "accelerator": "cpu"}
N_CELLS = 600


class Log(Callback):
    """Write down each epoch that is done, so that it outlives the process."""

    def __init__(self, file: Path):
        self.file = file

    def on_train_start(self, trainer, pl_module):
        self.write("")

    def on_train_epoch_end(self, trainer, pl_module):
        self.write(f"{trainer.current_epoch}\n")

    def write(self, line: str) -> None:
        with self.file.open("a") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())


def untrained(seed: int = 0) -> ACTIVA:
    adata = activa.datasets.pbmc68k_reduced()
    ACTIVA.setup_anndata(adata, labels_key="cell_type")
    return ACTIVA(adata, seed=seed, **SETTINGS)


def train(folder: Path, ckpt_path: Path | None = None) -> None:
    """Train, with a checkpoint after each epoch; the weights at the end, prior and all, go to ``weights.pt``."""
    warnings.simplefilter("ignore")
    model = untrained()
    log = Log(folder / "epochs")
    model.train(**TRAINING, checkpoint_dir=folder / "run", ckpt_path=ckpt_path, callbacks=[log])
    torch.save(model.module.state_dict(), folder / "weights.pt")


def write_again(kind: str, folder: Path) -> None:
    """Write one of two models, or cells of one seed after another, over the last, until killed."""
    warnings.simplefilter("ignore")
    models = [ACTIVA.from_export(folder / f"model_{i}", accelerator="cpu") for i in range(2)]
    if kind == "save":
        models = [ACTIVA.load(folder / f"saved_{i}", accelerator="cpu") for i in range(2)]
    (folder / "started").touch()
    for seed in count():
        WRITING[kind](models[seed % 2], folder, seed)


def _save(model: ACTIVA, folder: Path, seed: int) -> None:
    model.save(str(folder / "save"), overwrite=True, save_anndata=True)


def _export(model: ACTIVA, folder: Path, seed: int) -> None:
    model.export(folder / "export", overwrite=True)


def _generate_zarr(model: ACTIVA, folder: Path, seed: int) -> None:
    model.generate_zarr(folder / "generate_zarr", N_CELLS, seed=seed, batch_size=256, overwrite=True)


def _cli(model: ACTIVA, folder: Path, seed: int) -> None:
    from activa.cli.app import app

    arguments = ["generate", folder / f"model_{seed % 2}", "-n", N_CELLS, "--seed", seed, "-o", folder / "cli.h5ad"]
    app([*map(str, arguments), "--overwrite"], standalone_mode=False)


WRITING: dict[str, Callable[[ACTIVA, Path, int], None]] = {
    "save": _save,
    "export": _export,
    "generate_zarr": _generate_zarr,
    "cli": _cli,
}


def read_back(kind: str, folder: Path) -> str:
    """``"whole"`` or ``"absent"``, as what a killed process wrote is found; anything else raises an error."""
    path = folder / ("cli.h5ad" if kind == "cli" else kind)
    if not path.exists():
        return "absent"
    if kind in ("save", "export"):
        found = ACTIVA.load(path) if kind == "save" else ACTIVA.from_export(path, accelerator="cpu")
        weights = found.module.state_dict()
        models = [ACTIVA.from_export(folder / f"model_{i}", accelerator="cpu") for i in range(2)]
        expected = [model.module.state_dict() for model in models]
        assert any(all(torch.equal(w[name], value) for name, value in weights.items()) for w in expected)
    else:
        cells = ad.read_h5ad(path) if kind == "cli" else ad.read_zarr(path)
        seed = int(cells.uns["activa"]["seed"])
        model = ACTIVA.from_export(folder / f"model_{seed % 2}", accelerator="cpu")
        expected_cells = model.generate(N_CELLS, seed=seed)
        assert (cells.X != expected_cells.X).nnz == 0 and cells.obs["cell_type"].equals(expected_cells.obs["cell_type"])
    return "whole"
