"""Our configuration and the paper's, trained on the same cells and kept."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from _clock import Clock

from activa import ACTIVA
from activa.data import Cells
from activa.experiments.comparisons import read_sets
from activa.experiments.trainings import TYPE, Configuration, draw_cells, model_input, train_configuration

NAMES: dict[Configuration, str] = {"default": "ACTIVA", "paper": "as published"}


def trained(
    cells: Cells, genes: pd.Index, configuration: Configuration, folder: Path, max_epochs: int | None, seed: int = 0
) -> tuple[ACTIVA, dict[str, float]]:
    """A model and what it took, kept in the folder; a run that was cut off goes on from its last epoch."""
    kept, last = folder / f"model-{configuration}", folder / f"checkpoint-{configuration}" / "last.ckpt"
    cost = kept / "cost.json"
    if not cost.exists():
        clock = Clock()
        model = train_configuration(
            cells,
            genes,
            configuration,
            max_epochs=max_epochs,
            seed=seed,
            callbacks=[clock],
            checkpoint_dir=last.parent,
            ckpt_path=last if last.exists() else None,
        )
        if len(clock.seconds) < model.trainer.max_epochs:
            raise SystemExit("Training was interrupted; call again to go on with it.")
        model.save(kept, overwrite=True)
        cost.write_text(json.dumps({"epochs": len(clock.seconds), "seconds": sum(clock.seconds)}))
    return ACTIVA.load(kept, adata=model_input(cells, genes, configuration)), json.loads(cost.read_text())


class Models:
    """Both configurations, trained on the same cells."""

    def __init__(
        self,
        parts: dict[str, ad.AnnData],
        labels_key: str,
        folder: Path,
        epochs: dict[str, int | None],
        seed: int = 0,
    ):
        self.folder, self.epochs, self.seed = folder, epochs, seed
        self.genes = parts["train"].var_names
        others = {name: parts[name] for name in ("test", "floor")}
        self.real: dict[str, Cells] = read_sets(
            parts["train"], others, labels_key=labels_key, layer=None, normalized=False
        )
        self.real["train"] = self.real.pop("real")

    def log_normalized(self, cells: Cells) -> ad.AnnData:
        """What all sets are compared as: the paper's configuration makes no counts."""
        obs = pd.DataFrame({TYPE: pd.Categorical(cells.types)}, index=np.arange(len(cells)).astype(str))
        return ad.AnnData(cells.log_expression, obs=obs, var=pd.DataFrame(index=self.genes))

    def input(self, part: str, configuration: Configuration) -> ad.AnnData:
        """Real cells as the configuration takes them."""
        return model_input(self.real[part], self.genes, configuration)

    def trained(self, configuration: Configuration) -> tuple[ACTIVA, dict[str, float]]:
        """A model and what it took."""
        epochs = self.epochs[configuration]
        return trained(self.real["train"], self.genes, configuration, self.folder, epochs, self.seed)

    def training(self) -> pd.DataFrame:
        """Seconds and epochs of both."""
        rows = []
        for configuration, name in NAMES.items():
            model, cost = self.trained(configuration)
            parameters = sum(p.numel() for p in model.module.parameters())
            rows.append({"set": name, "parameters": parameters} | cost)
        return pd.DataFrame(rows)

    def generated(self, configurations: Iterable[Configuration] = tuple(NAMES)) -> dict[str, ad.AnnData]:
        """As many cells of each as there are test cells, and the floor's real ones."""
        types, models = self.real["test"].types, {name: self.trained(name)[0] for name in configurations}
        sets = {
            NAMES[name]: self.log_normalized(draw_cells(model, types, seed=self.seed)) for name, model in models.items()
        }
        return sets | {"held out": self.log_normalized(self.real["floor"])}

    def generation(self, n: int) -> pd.DataFrame:
        """Seconds to generate n cells with each, without keeping them."""
        rows = []
        for configuration, name in NAMES.items():
            model, _ = self.trained(configuration)
            z = None if model.module.knows_types else np.random.default_rng(0).normal(size=(n, model.module.n_latent))
            start = time.perf_counter()
            made = sum(chunk.n_obs for chunk in model.generate_batches(n, z=z, seed=0))
            rows.append({"set": name, "cells": made, "seconds": time.perf_counter() - start})
        return pd.DataFrame(rows)
