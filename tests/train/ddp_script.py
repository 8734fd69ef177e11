"""Train on two processes and write what each of them ends with: run by test_ddp.py with a folder."""

import json
import os
import sys
from pathlib import Path

import torch
from lightning.pytorch.callbacks import Callback
from tests_helpers import QUIET, make_counts

from activa import ACTIVA
from activa.train import Game, Hinge, Soft


class Watch(Callback):
    """Keeps this process's losses, and the weights of their terms in each epoch."""

    def __init__(self):
        self.alphas, self.losses = [], []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.losses.append(float(outputs["loss"]))
        if trainer.is_last_batch:
            self.alphas.append(list(pl_module.alphas))


def trained(game: Game | None) -> dict:
    """The model's parameters (sums), losses and cells."""
    watch = Watch()
    adata = make_counts(150)
    ACTIVA.setup_anndata(adata, labels_key="cell_type", batch_key="batch")
    model = ACTIVA(adata, n_hidden=(16,), n_latent=4)
    model.train(
        max_epochs=3,
        accelerator="cpu",
        devices=2,
        strategy="ddp_find_unused_parameters_true",
        train_size=0.9,
        check_val_every_n_epoch=3,
        batch_size=32,
        game=game,
        callbacks=[watch],
        **QUIET,
    )
    return {
        "parameters": {k: v.double().sum().item() for k, v in model.module.state_dict().items()},
        "metrics": {k: float(v) for k, v in model.trainer.callback_metrics.items()},
        "cells": float(model.generate(20, seed=0).X.sum()),
        "alphas": watch.alphas,
        "own": watch.losses,
    }


GAMES = {"none": None, "soft": Soft(n_epochs_warmup=2), "hinge": Hinge(balance="original", n_epochs_warmup=2)}

if __name__ == "__main__":
    torch.set_num_threads(1)
    found = {name: trained(game) for name, game in GAMES.items()}
    # Lightning starts the second process with this set
    rank = os.environ.get("LOCAL_RANK", "0")
    Path(sys.argv[1], f"rank_{rank}.json").write_text(json.dumps(found))
