import numpy as np
import pytest
import torch
from tests_helpers import QUIET, make_counts, make_model

from activa import ACTIVA
from activa.seeds import seeded

SETUP = {"labels_key": "cell_type", "batch_key": "batch", "layer": "counts"}
KEPT = ["latent_posterior_parameters", "latent_posterior_parameters_with_counts"]


def made():
    adata = make_counts()
    adata.layers["counts"] = adata.X.copy()
    return adata


def answers(model):
    """What does not need counts: latents, their spread, expression, predictive samples, generated cells."""
    with seeded(0):
        mean, variance = model.get_latent_representation(return_dist=True)
        expression = model.get_normalized_expression(transform_batch="two", n_samples=3).to_numpy()
        expected = model.get_normalized_expression(library_size="latent").to_numpy()
        samples = model.posterior_predictive_sample(n_samples=2).todense()
        log_p = model.get_aggregated_posterior().log_prob(torch.as_tensor(mean[:20])).numpy()
    return [mean, variance, expression, expected, samples, log_p, model.generate(50, seed=0).X.toarray()]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Folder of a trained model, and what it answered."""
    model, folder = make_model(made(), epochs=10, setup=SETUP), tmp_path_factory.mktemp("saved") / "model"
    model.save(folder)
    return folder, answers(model)


def load(folder):
    model = ACTIVA.load(folder, adata=made(), accelerator="cpu")
    model.adata.obsm["X_latent_qzm"], model.adata.obsm["X_latent_qzv"] = model.get_latent_representation(
        return_dist=True
    )
    return model


@pytest.mark.parametrize("kept", KEPT)
def test_minified_data_answer_as_counts_do(saved, kept, tmp_path):
    folder, expected = saved
    model = load(folder)
    adata = model.adata
    model.minify_adata(kept)
    counts = made().X
    assert model.minified_data_type == kept and model.adata is not adata
    np.testing.assert_array_equal(adata.layers["counts"].toarray(), counts.toarray())
    assert "activa_latent_qzm" not in adata.obsm and "observed_lib_size" not in adata.obs
    np.testing.assert_allclose(model.adata.obs["observed_lib_size"], np.asarray(counts.sum(1)).ravel())
    assert (model.adata.layers["counts"].nnz == 0) == (kept == KEPT[0])
    model.save(tmp_path / "small", save_anndata=True)
    for one in (model, ACTIVA.load(tmp_path / "small", accelerator="cpu")):
        assert one.minified_data_type == kept
        for found, value in zip(answers(one), expected, strict=True):
            np.testing.assert_allclose(found, value, rtol=1e-4, atol=1e-5)
    without = ACTIVA.load(tmp_path / "small", adata=False, accelerator="cpu")
    np.testing.assert_array_equal(without.generate(50, seed=0).X.toarray(), expected[-1])
    again = ACTIVA.load(tmp_path / "small", adata=made(), accelerator="cpu")
    assert again.minified_data_type is None
    again.train(max_epochs=1, **QUIET)


def test_what_needs_counts_says_so(saved):
    model = load(saved[0])
    elbo = model.get_elbo(return_mean=False)
    model.minify_adata()
    for call in (model.train, lambda: model.augment(3), model.predict, model.get_elbo, model.get_marginal_ll):
        with pytest.raises(ValueError, match="minified"):
            call()
    with pytest.raises(ValueError, match="adata has counts"):
        model.get_latent_representation(made())
    assert model.predict(made()).shape == (240,)
    # with counts they can be read
    model = load(saved[0])
    model.minify_adata(KEPT[1])
    assert float(model.get_elbo()) == pytest.approx(float(elbo.mean()), rel=0.02)
    assert model.augment(3, seed=0).n_obs == 243 and model.predict().shape == (240,)
    with pytest.raises(ValueError, match="minified"):
        model.train()
    with pytest.raises(ValueError, match="minified already"):
        model.minify_adata()


def test_what_cannot_be_minified(saved, counts):
    model = ACTIVA.load(saved[0], adata=made(), accelerator="cpu")
    with pytest.raises(KeyError, match="X_latent_qzm"):
        model.minify_adata()
    with pytest.raises(ValueError, match="minified_data_type"):
        model.minify_adata("all")
    with pytest.raises(ValueError, match="without data"):
        ACTIVA.load(saved[0], adata=False, accelerator="cpu").minify_adata()
    ACTIVA.setup_anndata(counts)
    with pytest.raises(RuntimeError, match="train"):
        ACTIVA(counts).minify_adata()
