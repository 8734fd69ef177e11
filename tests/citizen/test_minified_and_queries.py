"""Minified cells as other sources write them, query cells with scArches' options, and labels nobody has."""

import numpy as np
import pytest
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


def test_queries_take_the_options_of_scarches(reference):
    options = dict.fromkeys(
        ["freeze_expression", "freeze_decoder_first_layer", "freeze_batchnorm_encoder", "freeze_classifier"], True
    )
    model = ACTIVA.load_query_data(query(), reference, freeze_dropout=True, **options)
    rates = [part.p for part in model.module.modules() if type(part).__name__ == "Dropout"]
    assert rates and not any(rates)
    assert any(part.p for part in reference.module.modules() if type(part).__name__ == "Dropout")
    model.train(2, plan_kwargs={"weight_decay": 0.0}, **QUIET)
    assert set(model.generate(5, batch="new", seed=0).obs["batch"]) == {"new"}


@pytest.mark.parametrize(
    ("option", "error", "message"),
    [
        ({"freeze_expression": False}, ValueError, "freeze_expression=False: all weights .* or give unfrozen=True"),
        ({"transfer_batch": False}, ValueError, "transfer_batch=False"),
        ({"freeze_everything": True}, TypeError, "no argument 'freeze_everything': choose from"),
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
