import anndata as ad
import numpy as np
import pandas as pd
import pytest
from tests_helpers import QUIET, make_counts

from activa import ACTIVA

pytest.importorskip("annbatch")


def make_datamodule(adata: ad.AnnData, folder, **kwargs):
    """An annbatch data module of cells in a zarr store."""
    import zarr
    from annbatch import Loader
    from scvi.dataloaders import AnnbatchDataModule

    adata.write_zarr(folder / "cells.zarr")
    store = zarr.open_group(folder / "cells.zarr", mode="r")
    cells = ad.AnnData(ad.io.sparse_dataset(store["X"]), obs=ad.io.read_elem(store["obs"]), var=adata.var)
    loader = Loader(batch_size=64, chunk_size=16, preload_nchunks=4, preload_to_gpu=False, to="torch").add_adata(cells)
    return AnnbatchDataModule(
        loader, chunk_size=16, preload_nchunks=4, preload_to_gpu=False, **{"label_key": "cell_type", **kwargs},
    )  # fmt: skip


def trained(datamodule, **kwargs) -> ACTIVA:
    model = ACTIVA(registry=datamodule.registry, n_hidden=(32,), n_latent=5)
    model.train(datamodule=datamodule, **{"max_epochs": 20, **kwargs}, **QUIET)
    return model


def type_means(cells: ad.AnnData) -> np.ndarray:
    dense = cells.X.toarray()
    return np.stack([dense[cells.obs["cell_type"] == name].mean(0) for name in ("B", "NK", "T")])


def test_it_generates_as_a_model_trained_in_memory_does(tmp_path):
    adata = make_counts()
    datamodule = make_datamodule(adata, tmp_path, batch_key="batch")
    model = trained(datamodule)
    ACTIVA.setup_anndata(adata, labels_key="cell_type", batch_key="batch")
    in_memory = ACTIVA(adata, n_hidden=(32,), n_latent=5)
    in_memory.train(max_epochs=20, batch_size=64, **QUIET)

    asked = {"B": 200, "NK": 200, "T": 200}
    cells, other = (m.generate(labels=asked, seed=0) for m in (model, in_memory))
    assert cells.obs["cell_type"].value_counts().to_dict() == asked
    for found, expected in zip(type_means(cells), type_means(other), strict=True):
        assert np.corrcoef(found, expected)[0, 1] > 0.95
    pd.testing.assert_frame_equal(model.design_, in_memory.design_, check_dtype=False)
    pd.testing.assert_frame_equal(cells.var, adata.var)
    assert (model.predict(make_counts(seed=5)) == make_counts(seed=5).obs["cell_type"].to_numpy()).mean() > 0.8
    assert model.adata is None and "elbo_train" in model.history

    # saved and loaded like any other, without data and with
    model.save(tmp_path / "model")
    loaded = ACTIVA.load(tmp_path / "model", adata=False, accelerator="cpu")
    np.testing.assert_array_equal(loaded.generate(20, seed=1).X.toarray(), model.generate(20, seed=1).X.toarray())
    with_data = ACTIVA.load(tmp_path / "model", adata=make_counts(), accelerator="cpu")
    assert with_data.get_latent_representation().shape == (240, 5)
    # and gone on with, from where it was
    loaded.train(max_epochs=1, datamodule=datamodule, **QUIET)


def test_a_seed_gives_the_same_weights(tmp_path):
    datamodule = make_datamodule(make_counts(), tmp_path)
    first, second, other = (trained(datamodule, max_epochs=2, seed=seed) for seed in (1, 1, 2))
    cells = [model.generate(50, seed=0).X.toarray() for model in (first, second, other)]
    np.testing.assert_array_equal(cells[0], cells[1])
    assert (cells[0] != cells[2]).any()


# scvi-tools makes tensors of pandas' read-only arrays
@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable:UserWarning")
def test_covariates_unlabeled_cells_and_early_stopping(tmp_path):
    """The data module's codes follow the alphabet; the unlabeled category is amid the types."""
    adata = make_counts()
    adata.obs["cell_type"] = adata.obs["cell_type"].cat.rename_categories({"NK": "Ignored"})
    keys = {"categorical_covariate_keys": ["sex"], "continuous_covariate_keys": ["age"]}
    model = trained(make_datamodule(adata, tmp_path, unlabeled_category="Ignored", **keys), early_stopping=True)
    assert list(model.types) == ["B", "T"] and "elbo_validation" in model.history
    cells = model.generate(300, covariates={"sex": "f"}, seed=0)
    share = (adata.obs["cell_type"] == "B").sum() / adata.obs["cell_type"].isin(["B", "T"]).sum()
    assert (cells.obs["cell_type"] == "B").mean() == pytest.approx(share, abs=0.01)
    assert set(cells.obs["sex"]) == {"f"} and cells.obs["age"].between(20, 80).all()
    means = [cells.X.toarray()[cells.obs["cell_type"] == name].mean(0) for name in ("B", "T")]
    assert means[0][:5].sum() > 3 * means[1][:5].sum() and means[1][10:15].sum() > 3 * means[0][10:15].sum()


def test_without_labels_one_type_stands_for_all(tmp_path):
    model = trained(make_datamodule(make_counts(), tmp_path, label_key=None), max_epochs=1)
    assert list(model.types) == ["all"] and list(model.generate(3, seed=0).obs.columns) == []


def test_what_does_not_fit_is_refused(tmp_path):
    adata = make_counts()
    datamodule = make_datamodule(adata, tmp_path)
    ACTIVA.setup_anndata(adata, labels_key="cell_type")
    with pytest.raises(ValueError, match=r"registry=datamodule\.registry"):
        ACTIVA(adata).train(datamodule=datamodule)
    untrained = ACTIVA(registry=datamodule.registry)
    assert list(untrained.types) == ["B", "NK", "T"]
    with pytest.raises(ValueError, match="datamodule="):
        untrained.train()
    with pytest.raises(RuntimeError, match="train"):
        untrained.generate(3)
    (tmp_path / "other").mkdir()
    with pytest.raises(ValueError, match="30 genes"):
        untrained.train(datamodule=make_datamodule(make_counts(n_genes=30), tmp_path / "other"), **QUIET)
    datamodule._label_key, datamodule.label_encoder = "no_such", None
    with pytest.raises(KeyError, match="no_such"):
        ACTIVA(registry=datamodule.registry)


def test_values_that_are_no_counts(tmp_path):
    adata = make_counts()
    adata.X = adata.X * 0.5
    datamodule = make_datamodule(adata, tmp_path)
    with pytest.raises(ValueError, match="not whole"):
        ACTIVA(registry=datamodule.registry).train(datamodule=datamodule, **QUIET)
