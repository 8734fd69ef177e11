"""Minified cells as other sources write them, query cells with scArches' options, and labels nobody has."""

import numpy as np
import pytest
from lightning.pytorch.callbacks import Callback
from scipy.sparse import csr_matrix
from scvi.data import AnnDataManager
from tests_helpers import QUIET, make_counts, make_model

from activa import ACTIVA

BATCHES = {"labels_key": "cell_type", "batch_key": "batch"}


@pytest.fixture(scope="module")
def reference() -> ACTIVA:
    return make_model(epochs=3, setup=BATCHES)


def query():
    adata = make_counts(seed=1)
    adata.obs["batch"] = "new"
    return adata


class Drops(Callback):
    """Whether the encoder drops units in training."""

    def on_train_batch_start(self, trainer, plan, *_):
        self.found = plan.module.encoder.training, plan.module.generator.training


def test_queries_take_the_options_of_scarches(reference, tmp_path):
    # the defaults of scvi-tools 1.5; the generator has no batch normalization to free
    options = dict.fromkeys(["freeze_expression", "freeze_decoder_first_layer", "freeze_batchnorm_encoder"], True)
    options |= {"freeze_batchnorm_decoder": False, "freeze_classifier": True, "transfer_batch": True}
    model = ACTIVA.load_query_data(query(), reference, freeze_dropout=True, datamodule=None, registry=None, **options)
    model.save(tmp_path / "model")
    saved, free = ACTIVA.load(tmp_path / "model", adata=query()), ACTIVA.load_query_data(query(), reference, **options)
    for one, drops in ((model, False), (saved, False), (free, True)):
        one.train(2, plan_kwargs={"weight_decay": 0.0}, callbacks=[watch := Drops()], **QUIET)
        assert watch.found == (drops, True)
        assert set(one.generate(5, batch="new", seed=0).obs["batch"]) == {"new"}
    before, after = (m.get_latent_representation(make_counts()) for m in (reference, model))
    np.testing.assert_array_equal(before, after)


def test_decay_would_move_what_is_frozen(reference):
    model = ACTIVA.load_query_data(query(), reference)
    with pytest.raises(ValueError, match="weight_decay=0.001 would move the reference's frozen weights"):
        model.train(1, plan_kwargs={"weight_decay": 1e-3})
    ACTIVA.load_query_data(query(), reference, unfrozen=True, freeze_expression=False).train(
        1, plan_kwargs={"weight_decay": 1e-3}, **QUIET
    )


def test_batches_are_new_only_where_they_may_be(reference):
    with pytest.raises(ValueError, match=r"transfer_batch=False, and adata has new batches, \['new'\]"):
        ACTIVA.load_query_data(query(), reference, transfer_batch=False)
    assert ACTIVA.load_query_data(make_counts(seed=1), reference, transfer_batch=False).is_trained_


@pytest.mark.parametrize(
    ("option", "error", "message"),
    [
        ({"freeze_expression": False}, ValueError, "freeze_expression=False: all weights .* or give unfrozen=True"),
        ({"freeze_batchnorm_decoder": False, "freeze_classifier": False}, ValueError, "freeze_classifier=False: all"),
        ({"datamodule": "a data module"}, ValueError, "datamodule was given, and query cells are an AnnData or MuData"),
        ({"freeze_everything": True}, TypeError, "unexpected keyword argument 'freeze_everything'"),
        ({"freeze_dropout": "yes"}, TypeError, "freeze_dropout must be True or False"),
    ],
    ids=str,
)
def test_what_cannot_be_left_unfrozen_is_refused(reference, option, error, message):
    with pytest.raises(error, match=message):
        ACTIVA.load_query_data(query(), reference, **option)


def test_an_unlabeled_category_that_no_cell_has(tmp_path):
    setup = {"labels_key": "cell_type", "unlabeled_category": "Unknown"}
    model = make_model(epochs=3, setup=setup)
    assert model.types.tolist() == ["B", "NK", "T"]
    assert set(model.generate(300, seed=0).obs["cell_type"]) == {"B", "NK", "T"}
    model.export(tmp_path / "model")
    assert ACTIVA.from_export(tmp_path / "model").generate(20, seed=0).n_obs == 20
    with pytest.raises(KeyError, match="Unknown"):
        model.generate(3, labels="Unknown")
    # what it is for: query cells without labels
    new = query()
    new.obs["cell_type"] = "Unknown"
    assert ACTIVA.load_query_data(new, model).predict(new).shape == (240,)


def test_minified_cells_as_the_census_writes_them(reference, tmp_path):
    """Latents under scvi-tools' names, and no counts at all."""
    mean, variance = reference.get_latent_representation(return_dist=True)
    expected = reference.get_normalized_expression(n_samples=50, return_numpy=True)
    reference.save(str(tmp_path / "model"), overwrite=True)
    cells = make_counts()
    totals = np.asarray(cells.X.sum(axis=1)).ravel()
    cells.obsm["_scvi_latent_qzm"], cells.obsm["_scvi_latent_qzv"] = mean, variance
    cells.obs["observed_lib_size"] = totals
    cells.X = csr_matrix(cells.shape, dtype=np.float32)
    model = ACTIVA.load(str(tmp_path / "model"), adata=cells)
    model.minify_adata(use_latent_qzm_key="_scvi_latent_qzm", use_latent_qzv_key="_scvi_latent_qzv")
    assert model.minified_data_type == "latent_posterior_parameters"
    np.testing.assert_allclose(model.get_latent_representation(), mean, rtol=1e-5)
    found = model.get_normalized_expression(n_samples=50, return_numpy=True)
    assert np.corrcoef(np.log(found).ravel(), np.log(expected).ravel())[0, 1] > 0.99


def test_likelihood_parameters_take_options_of_the_loader(reference):
    found = reference.get_likelihood_parameters(data_loader_kwargs={"num_workers": 0}, give_mean=True)
    assert found["mean"].shape == (240, 40)


def test_settings_of_scvi_that_do_not_exist_are_named():
    adata = make_counts()
    ACTIVA.setup_anndata(adata)
    with pytest.raises(TypeError, match="There is no setting 'n_layers': choose from"):
        ACTIVA(adata, n_layers=2)
    assert isinstance(ACTIVA(adata).adata_manager, AnnDataManager)
