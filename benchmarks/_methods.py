"""The generators that are compared: each trains on the training cells and gives cells of the test set's types."""

from __future__ import annotations

import time
from collections.abc import Callable

import anndata as ad
import numpy as np
from _baselines import bootstrap, independent
from _task import Run, Task
from scipy.sparse import csr_matrix, vstack


def activa(task: Task) -> Run:
    """ACTIVA with its defaults."""
    from activa import ACTIVA

    ACTIVA.setup_anndata(task.train, labels_key=task.labels_key)
    start = time.perf_counter()
    model = ACTIVA(task.train, seed=task.seed)
    model.train(max_epochs=task.max_epochs, seed=task.seed)
    trained = time.perf_counter()
    made = model.generate(labels=list(task.labels), seed=task.seed)
    seconds = {"train": trained - start, "generate": time.perf_counter() - trained}
    if not task.refit:
        return Run({"ACTIVA": made}, seconds)
    truth = model.generate(labels=list(task.labels), seed=task.seed + 1)
    refit = model.refit(seed=task.seed).generate(labels=list(task.labels), seed=task.seed + 2)
    return Run({"ACTIVA": made}, seconds, {"ACTIVA": (truth, refit)})


def scvi(task: Task) -> Run:
    """scVI with its defaults, as people generate with it.

    From the posterior: the counts that it predicts for training cells of the type asked for (real cells to copy from).
    From the prior: z from N(0, I) and a training cell's library size; such cells have no type.
    """
    import scvi
    import torch

    train = task.train
    scvi.settings.seed = task.seed
    rng = np.random.default_rng(task.seed)
    scvi.model.SCVI.setup_anndata(train)
    start = time.perf_counter()
    model = scvi.model.SCVI(train)
    model.train(max_epochs=task.max_epochs)
    trained = time.perf_counter()

    def from_posterior(labels: np.ndarray) -> ad.AnnData:
        sources = np.empty(len(labels), dtype=int)
        for label in np.unique(labels):
            cells = np.flatnonzero(train.obs[task.labels_key] == label)
            n = (labels == label).sum()
            # as many different cells as there are, before any is used again
            order = np.concatenate([rng.permutation(cells) for _ in range(-(-n // len(cells)))])
            sources[labels == label] = order[:n]
        counts = model.posterior_predictive_sample(indices=sources).to_scipy_sparse().tocsr()
        return task.labeled(counts, labels)

    posterior = from_posterior(task.labels)
    generated = time.perf_counter()

    module, rows, n = model.module, [], len(task.labels)
    library = np.log(np.asarray(train.X.sum(axis=1)).ravel()[rng.integers(train.n_obs, size=n)])
    with torch.inference_mode():
        for i in range(0, n, 256):
            log_library = torch.as_tensor(library[i : i + 256], dtype=torch.float32)[:, None]
            zeros = torch.zeros(len(log_library), 1, dtype=torch.long)
            z = torch.randn(len(log_library), module.n_latent)
            px = module.generative(z=z, library=log_library, batch_index=zeros, y=zeros)["px"]
            rows.append(csr_matrix(px.sample().numpy()))
    prior = ad.AnnData(vstack(rows, format="csr"), var=train.var.copy())
    return Run(
        {"scVI, posterior": posterior, "scVI, prior": prior},
        {"train": trained - start, "generate": generated - trained},
    )


def paper(task: Task) -> Run:
    """The model as published: N(0, I) decoded, with the types that its classifier gives; values that sum to 20,000 or so."""
    from _paper_models import trained

    from activa.experiments.comparisons import read_sets
    from activa.experiments.trainings import TYPE, draw_values

    sets = read_sets(task.train, task.train, labels_key=task.labels_key, layer=None, normalized=False)
    model, cost = trained(sets["real"], task.train.var_names, "paper", task.folder, task.max_epochs, task.seed)
    start = time.perf_counter()
    made = draw_values(model, task.labels, seed=task.seed)
    cells = task.labeled(made.X, made.obs[TYPE].to_numpy(dtype=str))
    return Run({"ACTIVA as published": cells}, {"train": cost["seconds"], "generate": time.perf_counter() - start})


METHODS: dict[str, Callable[[Task], Run]] = {
    "activa": activa,
    "scvi": scvi,
    "independent": independent,
    "bootstrap": bootstrap,
    "paper": paper,
}
USUAL = [name for name in METHODS if name != "paper"]
"""The paper's configuration trains for an hour, and is run when it is asked for."""
EVERY_SEED = {"activa"}
"""Methods that run on every seed; the others on the first."""
