"""Cells that are not one AnnData in memory: several h5ad files, scvi-tools' own splitter, collections."""

import anndata as ad
import numpy as np
import pytest
from anndata.experimental import AnnCollection
from scvi.dataloaders import CollectionAdapter, DataSplitter
from tests_helpers import QUIET, make_counts

from activa import ACTIVA

SMALL = {"n_hidden": (16,), "n_latent": 4}


def files_as_one(tmp_path, **columns):
    """Two h5ad files of two batches each, with samples across them, read by annbatch."""
    pytest.importorskip("annbatch")
    for number in (0, 1):
        adata = make_counts(seed=number)
        adata.obs["sample"] = np.where(np.arange(adata.n_obs) % 3 == 0, "first", "second")
        adata.obs_names = [f"{name}_{number}" for name in adata.obs_names]
        adata.write_h5ad(tmp_path / f"{number}.h5ad")
    return ACTIVA.setup_annbatch(
        paths=[str(tmp_path / f"{number}.h5ad") for number in (0, 1)],
        collection_path=str(tmp_path / "collection.zarr"),
        batch_size=60,
        chunk_size=20,
        preload_nchunks=3,
        preload_to_gpu=False,
        **columns,
    )


@pytest.mark.filterwarnings("ignore")  # of annbatch, zarr and dask about their own versions
def test_files_that_annbatch_reads(tmp_path):
    datamodule = files_as_one(tmp_path, batch_key="batch", labels_key="cell_type", sample_key="sample")
    model = ACTIVA(registry=datamodule.registry, **SMALL)
    model.train(2, datamodule=datamodule, **QUIET)
    assert model.generate(10, seed=0).obs["batch"].isin(["one", "two"]).all()

    loader = datamodule.inference_dataloader
    soft = model.predict(dataloader=loader(), soft=True)
    assert soft.shape == (480, 3) and np.allclose(soft.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(model.predict(dataloader=loader()), model.types[soft.to_numpy().argmax(1)])
    with pytest.raises(ValueError, match="dataloader was given with adata"):
        model.predict(make_counts(), dataloader=loader())

    found = model.differential_abundance(sample_key="sample", dataloader=loader())
    assert list(found.columns) == ["first", "second"] and len(found) == 480 and np.isfinite(found.to_numpy()).all()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("columns", [{}, {"labels_key": "cell_type"}, {"batch_key": "batch"}], ids=str)
def test_a_model_of_files_goes_on_with_cells_in_memory(columns, tmp_path):
    datamodule = files_as_one(tmp_path, **columns)
    model = ACTIVA(registry=datamodule.registry, **SMALL)
    model.train(1, datamodule=datamodule, **QUIET)
    model.save(tmp_path / "model")
    loaded = ACTIVA.load(tmp_path / "model", adata=make_counts())
    loaded.train(1, **QUIET)
    assert loaded.get_latent_representation().shape == (240, 4)
    assert list(loaded.generate(5, seed=0).obs.columns) == list(columns.values())
    assert ACTIVA.load_query_data(make_counts(seed=2), model).is_trained_
    again = ACTIVA.load(tmp_path / "model", adata=False)
    again.train(1, datamodule=datamodule, **QUIET)


def test_scvi_tools_own_splitter_as_a_data_module():
    adata = make_counts()
    ACTIVA.setup_anndata(adata, labels_key="cell_type")
    manager = ACTIVA._get_most_recent_anndata_manager(adata)
    splitter = DataSplitter(manager, train_size=0.8)
    splitter.n_vars, splitter.n_batch, splitter.n_obs = adata.n_vars, 1, adata.n_obs
    model = ACTIVA(registry=manager.registry, **SMALL)
    model.train(3, datamodule=splitter, **QUIET)
    assert model.design.type_sizes.tolist() == adata.obs["cell_type"].value_counts(sort=False).tolist()
    assert (model.predict(adata) == adata.obs["cell_type"].to_numpy()).mean() > 0.4
    assert set(model.generate(30, seed=0).obs["cell_type"]) <= {"B", "NK", "T"}


def test_a_collection_is_refused_with_what_reads_files_as_one():
    parts = [make_counts(seed=number) for number in (0, 1)]
    for part in parts:
        part.layers["counts"] = part.X.copy()
    collection = CollectionAdapter(AnnCollection(parts, join_vars="inner", label="origin", index_unique="-"))
    with pytest.raises(TypeError, match=r"got CollectionAdapter: read files as one by setup_annbatch\(paths=\.\.\.\)"):
        ACTIVA.setup_anndata(collection, layer="counts", batch_key="origin")


def test_files_joined_on_disk(tmp_path):
    for number in (0, 1):
        make_counts(seed=number).write_h5ad(tmp_path / f"{number}.h5ad")
    paths = {str(number): tmp_path / f"{number}.h5ad" for number in (0, 1)}
    ad.experimental.concat_on_disk(paths, tmp_path / "both.h5ad", label="origin", index_unique="-")
    both = ad.read_h5ad(tmp_path / "both.h5ad", backed="r")
    ACTIVA.setup_anndata(both, batch_key="origin")
    model = ACTIVA(both, **SMALL)
    model.train(2, **QUIET)
    assert model.get_latent_representation().shape == (480, 4)
    assert set(model.generate(20, seed=0).obs["origin"]) <= {"0", "1"}
