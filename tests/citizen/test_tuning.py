"""scvi-tools' autotune, over cells in memory and over a data module."""

import numpy as np
import pytest
from scvi.dataloaders import DataSplitter
from tests_helpers import make_counts

from activa import ACTIVA

pytest.importorskip("ray")
pytest.importorskip("hyperopt")

pytestmark = pytest.mark.filterwarnings("ignore")  # of Ray about its own versions

TRAINING = {"max_epochs": 1, "train_size": 0.8, "accelerator": "cpu"}


def search(data, tmp_path, **model_params):
    from ray import tune
    from scvi.autotune import run_autotune

    experiment = run_autotune(
        ACTIVA,
        data,
        metrics=["elbo_validation"],
        mode="min",
        search_space={
            "model_params": {"n_hidden": (8,), "n_latent": tune.grid_search([2, 3]), **model_params},
            "train_params": {**TRAINING, "plan_kwargs": {"lr": tune.loguniform(1e-4, 1e-2)}},
        },
        num_samples=1,
        searcher="random",
        scheduler="fifo",
        seed=0,
        resources={"cpu": 1},
        logging_dir=str(tmp_path),
        ignore_reinit_error=True,
    )
    return experiment.result_grid


def check(results) -> None:
    assert len(results) == 2 and not results.errors
    assert sorted(one.config["model_params"]["n_latent"] for one in results) == [2, 3]
    assert all(np.isfinite(one.metrics["elbo_validation"]) for one in results)


def test_over_cells_in_memory(tmp_path):
    adata = make_counts()
    ACTIVA.setup_anndata(adata, labels_key="cell_type")
    check(search(adata, tmp_path))


def test_over_a_data_module_whose_registry_is_an_argument_of_the_model(tmp_path):
    adata = make_counts()
    ACTIVA.setup_anndata(adata, labels_key="cell_type")
    manager = ACTIVA._get_most_recent_anndata_manager(adata)
    splitter = DataSplitter(manager, train_size=0.8)
    splitter.n_vars, splitter.n_batch, splitter.n_obs = adata.n_vars, 1, adata.n_obs
    check(search(splitter, tmp_path, registry=manager.registry))
