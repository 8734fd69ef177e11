"""Train on two processes and write what each of them ends with: run by test_ddp.py with a folder."""

import json
import os
import sys
from pathlib import Path

import torch
from tests_helpers import QUIET, make_counts

from activa import ACTIVA
from activa.train import IntrospectivePlan


class WatchedPlan(IntrospectivePlan):
    """Keeps the weights of the losses that SoftAdapt gives, and this process's first losses."""

    alphas: list = []
    losses: list = []

    def on_train_epoch_start(self):
        super().on_train_epoch_start()
        self.alphas.append([float(self.alpha_1), float(self.alpha_2)])

    def training_step(self, batch, batch_idx):
        output = super().training_step(batch, batch_idx)
        self.losses.append(float(output["loss"]))
        return output


def trained(form: str) -> dict:
    """The model's parameters (sums), losses and cells."""
    WatchedPlan.alphas, WatchedPlan.losses = [], []
    adata = make_counts(150)
    ACTIVA.setup_anndata(adata, labels_key="cell_type", batch_key="batch")
    model = ACTIVA(adata, n_hidden=(16,), n_latent=4, n_prior_components=2)
    model._training_plan_cls = WatchedPlan
    plan_kwargs = {"introspection": form, "classifier_weight": 1.0, "softadapt": "original", "n_epochs_warmup": 2}
    model.train(
        max_epochs=3, accelerator="cpu", devices=2, strategy="ddp_find_unused_parameters_true", train_size=0.9,
        check_val_every_n_epoch=3, batch_size=32, plan_kwargs=plan_kwargs, **QUIET,
    )  # fmt: skip
    return {
        "parameters": {k: v.double().sum().item() for k, v in model.module.state_dict().items()},
        "metrics": {k: float(v) for k, v in model.trainer.callback_metrics.items()},
        "cells": float(model.generate(20, seed=0).X.sum()),
        "alphas": WatchedPlan.alphas,
        "own": WatchedPlan.losses,
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    found = {form: trained(form) for form in ("none", "soft", "hinge")}
    # Lightning starts the second process with this set
    rank = os.environ.get("LOCAL_RANK", "0")
    Path(sys.argv[1], f"rank_{rank}.json").write_text(json.dumps(found))
