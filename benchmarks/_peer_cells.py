"""Draw cells with one generator, in the environment it is installed in. peers.py starts this file in a process of its own.

    python _peer_cells.py PEER TRAIN.h5ad ASKED.csv OUT.h5ad SEED

TRAIN holds counts with types in obs; the last column of ASKED has the name of that column of obs and the types to draw,
a row a cell. OUT gets the drawn cells in that order, and OUT with the suffix .json the seconds, the peak memory and what
was set. Beside a peer's own packages, this file needs anndata, numpy and scipy only.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
from scipy.sparse import csr_matrix


@dataclass(frozen=True)
class Asked:
    """Train on these cells; draw cells of these types."""

    train: ad.AnnData
    labels: np.ndarray
    """A type for each cell to draw."""
    labels_key: str
    seed: int

    @property
    def train_labels(self) -> np.ndarray:
        """Types of the training cells."""
        return self.train.obs[self.labels_key].to_numpy(dtype=str)


@dataclass(frozen=True)
class Drawn:
    """Values of the training cells' genes, a row for each type asked for."""

    x: Any
    train_seconds: float
    generate_seconds: float
    package: str
    """On PyPI."""
    note: str = ""
    """What a reader of the table must know."""


CORRELATED_GENES = 2_000


def scdesigner(asked: Asked) -> Drawn:
    """scDesigner, the Python package of scDesign3's authors (scDesign3: doi:10.1038/s41587-023-01772-1).

    Mean, dispersion and copula of each type; Ledoit-Wolf covariances, for those of fewer cells than genes are singular.
    Only the most expressed genes are joined by the copula: a draw decomposes a genes x genes matrix for each type.
    """
    import torch
    from scdesigner.simulators import NegBinCopula

    np.random.seed(asked.seed)  # noqa: NPY002 - the package draws from the global state
    torch.manual_seed(asked.seed)
    formula = f"~ {asked.labels_key}"
    n_correlated = min(CORRELATED_GENES, asked.train.n_vars)
    start = time.perf_counter()
    simulator = NegBinCopula(formula, formula, formula, estimator="ledoit_wolf", top_k=n_correlated)
    simulator.fit(asked.train, verbose=False)
    trained = time.perf_counter()
    obs = asked.train.obs[[asked.labels_key]].iloc[np.zeros(len(asked.labels), dtype=int)].reset_index(drop=True)
    obs[asked.labels_key] = asked.labels
    obs.index = obs.index.astype(str)
    # in one batch, so that a type's matrix is decomposed once
    x = simulator.sample(obs, batch_size=len(obs)).X
    note = (
        f"NB copula per type, Ledoit-Wolf; the {n_correlated:,} most expressed genes correlated, the others independent"
    )
    return Drawn(x, trained - start, time.perf_counter() - trained, "scdesigner", note)


def matilda(asked: Asked) -> Drawn:
    """Matilda (doi:10.1093/nar/gkad157) with its defaults, on genes alone.

    It draws each cell from the posterior of a training cell of the type, as z-scores over the cell's genes of
    log2(1 + scaled counts). They are brought back with the mean and the mean deviation of the type's training cells,
    and are no counts.
    """
    import matilda as package

    start = time.perf_counter()
    model = package.train(asked.train, labels=list(asked.train_labels), seed=asked.seed)
    trained = time.perf_counter()
    x = np.zeros((len(asked.labels), asked.train.n_vars), dtype=np.float32)
    counts = np.asarray(asked.train.X.sum(axis=1)).ravel()
    for label in np.unique(asked.labels):
        rows = np.flatnonzero(asked.labels == label)
        # it gives the real cells of all other types along
        table = package.simulate(
            asked.train, model, celltype=label, n=len(rows), labels=list(asked.train_labels), seed=asked.seed
        ).simulated
        z = table["rna"].to_numpy()[table["label"]["label"].astype(str).to_numpy() == label]
        of_type = asked.train_labels == label
        scaled = asked.train.X[of_type].toarray() / (counts[of_type] / counts.mean())[:, None]
        logs = np.log2(1 + scaled)
        x[rows] = np.maximum(2 ** (z * logs.std(axis=1, ddof=1).mean() + logs.mean()) - 1, 0)
    note = "decoded, without noise, from the posterior of training cells; no counts: judged as log-normalized values"
    return Drawn(x, trained - start, time.perf_counter() - trained, "matilda-sc", note)


def univi(asked: Asked) -> Drawn:
    """UniVI (doi:10.1101/gr.281431.125) with genes as its only modality and the settings of its quickstart.

    As in its tutorial on generation, latents are drawn from a Gaussian of each type and decoded. Its NB decoder gives
    means and dispersions, of which the counts are drawn here: the package has no draw of its own.
    """
    import torch
    from univi import ModalityConfig, TrainingConfig, UniVIConfig, UniVIMultiModalVAE, UniVITrainer
    from univi.evaluation import encode_adata, fit_latent_gaussians_by_label, sample_latent_from_label_gaussians
    from univi.workflows import make_loader

    torch.manual_seed(asked.seed)
    rng = np.random.default_rng(asked.seed)
    start = time.perf_counter()
    validation = rng.permutation(asked.train.n_obs) < asked.train.n_obs // 10
    loaders = {
        name: make_loader({"rna": asked.train[cells].copy()}, batch_size=256, shuffle=name == "train", seed=asked.seed)
        for name, cells in (("train", ~validation), ("validation", validation))
    }
    modality = ModalityConfig("rna", asked.train.n_vars, [512, 256, 128], [128, 256, 512], likelihood="nb")
    model = UniVIMultiModalVAE(
        UniVIConfig(latent_dim=30, beta=1.25, encoder_dropout=0.1, decoder_dropout=0.05, modalities=[modality])
    )
    settings = TrainingConfig(n_epochs=400, lr=1e-3, weight_decay=1e-4, early_stopping=True, patience=50)
    UniVITrainer(model, loaders["train"], loaders["validation"], settings, device="cpu").fit()
    z = encode_adata(model, asked.train, modality="rna", latent="modality_mean")
    gaussians = fit_latent_gaussians_by_label(z, asked.train_labels, min_n=1)
    trained = time.perf_counter()
    x = np.zeros((len(asked.labels), asked.train.n_vars), dtype=np.float32)
    for label in np.unique(asked.labels):
        rows = np.flatnonzero(asked.labels == label)
        z = sample_latent_from_label_gaussians(gaussians, label, len(rows), random_state=asked.seed)
        with torch.inference_mode():
            decoded = model.decode_modalities(torch.as_tensor(z))["rna"]
        mean, log_theta = (decoded[name].detach().double().numpy() for name in ("mu", "log_theta"))
        theta = np.exp(log_theta)
        x[rows] = rng.poisson(mean * rng.gamma(np.broadcast_to(theta, mean.shape)) / theta)
    note = "genes alone; Gaussian latents of each type, counts drawn of the decoded NB"
    return Drawn(x, trained - start, time.perf_counter() - trained, "univi", note)


def of_main_environment(asked: Asked, method: str, name: str, package: str, note: str) -> Drawn:
    """A generator of _methods.py, with these cells of those that it gives."""
    from _methods import METHODS
    from _task import Task

    folder = Path()
    run = METHODS[method](Task(asked.train, asked.labels, asked.labels_key, asked.seed, None, folder))
    return Drawn(run.cells[name].X, run.seconds["train"], run.seconds["generate"], package, note)


PEERS: dict[str, Callable[[Asked], Drawn]] = {
    "scdesigner": scdesigner,
    "matilda": matilda,
    "univi": univi,
    "scvi": partial(
        of_main_environment,
        method="scvi",
        name="scVI, posterior",
        package="scvi-tools",
        note="posterior predictive counts of training cells",
    ),
    "independent": partial(
        of_main_environment,
        method="independent",
        name="NB per type, independent genes",
        package="activa-sc",
        note="baseline of ours: NB per type, independent genes, library sizes of training cells",
    ),
    "activa": partial(of_main_environment, method="activa", name="ACTIVA", package="activa-sc", note="defaults"),
}


def main() -> None:
    """Draw the cells and write them, then what they took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", choices=list(PEERS))
    parser.add_argument("train", type=Path)
    parser.add_argument("asked", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("seed", type=int)
    args = parser.parse_args()
    with args.asked.open(newline="") as file:
        (*_, labels_key), *rows = csv.reader(file)
    labels = np.array([row[-1] for row in rows])
    train = ad.read_h5ad(args.train)
    drawn = PEERS[args.peer](Asked(train, labels, labels_key, args.seed))
    cells = ad.AnnData(csr_matrix(drawn.x, dtype=np.float32))
    cells.var_names = train.var_names
    cells.obs[labels_key] = labels
    cells.write_h5ad(args.out)
    cost = {
        "train_seconds": drawn.train_seconds,
        "generate_seconds": drawn.generate_seconds,
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "version": f"{drawn.package} {version(drawn.package)}",
        "note": drawn.note,
    }
    args.out.with_suffix(".json").write_text(json.dumps(cost, indent=2))


if __name__ == "__main__":
    main()
