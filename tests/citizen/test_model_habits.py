"""What a notebook written for SCVI does with a model, beyond what tests/model asks of each method."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import scvi
from scipy.stats import spearmanr
from tests_helpers import QUIET, make_counts, make_model

from activa import ACTIVA
from activa.seeds import seeded

SETUP = {"labels_key": "cell_type", "batch_key": "batch"}


@pytest.fixture(scope="module")
def model() -> ACTIVA:
    """A trained model; tests must leave it as it is."""
    return make_model(epochs=15, setup=SETUP)


def fresh() -> ACTIVA:
    adata = make_counts()
    ACTIVA.setup_anndata(adata, **SETUP)
    return ACTIVA(adata, n_hidden=(16,), n_latent=4)


@pytest.mark.parametrize(("patience", "warmup", "epochs"), [(2, 0, 3), (5, 0, 6), (2, 4, 7)])
def test_early_stopping_waits_as_long_as_it_is_told(patience, warmup, epochs):
    """With an improvement that no epoch brings, the first epoch that is judged stays the best."""
    model = fresh()
    stop = {"early_stopping_min_delta": 1e9, "early_stopping_monitor": "elbo_validation"}
    stop |= {"early_stopping_patience": patience, "early_stopping_warmup_epochs": warmup}
    model.train(30, early_stopping=True, **stop, **QUIET)
    assert len(model.history["elbo_train"]) == epochs


def test_history_is_a_table_for_each_loss_and_a_second_training_is_added():
    model = fresh()
    model.train(3, train_size=0.8, check_val_every_n_epoch=1, **QUIET)
    first = {name: table.copy() for name, table in model.history.items()}
    for name in ("train_loss", "elbo_train", "reconstruction_loss_train", "kl_local_train", "elbo_validation"):
        assert isinstance(first[name], pd.DataFrame) and first[name].shape == (3, 1)
        assert np.isfinite(first[name].to_numpy(dtype=float)).all()
    # the ELBO is logged as a loss, the sum of its terms
    terms = first["reconstruction_loss_train"].to_numpy() + first["kl_local_train"].to_numpy()
    np.testing.assert_allclose(first["elbo_train"].to_numpy(dtype=float), terms.astype(float), rtol=1e-5)
    model.train(2, **QUIET)
    assert len(model.history["elbo_train"]) == 5
    pd.testing.assert_frame_equal(model.history["elbo_train"].iloc[:3], first["elbo_train"])


def test_the_split_can_be_given():
    model, order = fresh(), np.random.default_rng(0).permutation(240)
    given = [order[:150], order[150:200], order[200:]]
    model.train(2, datasplitter_kwargs={"external_indexing": given}, check_val_every_n_epoch=1, **QUIET)
    found = (model.train_indices, model.validation_indices, model.test_indices)
    for ours, theirs in zip(found, given, strict=True):
        assert set(ours) == set(theirs)
    assert len(model.history["elbo_validation"]) == 2


def test_copies_are_models_of_their_own(model):
    expected = model.generate(20, seed=0).X.toarray()
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(twin.generate(20, seed=0).X.toarray(), expected)
        twin.train(1, **QUIET)
        assert (twin.generate(20, seed=0).X.toarray() != expected).any()
    np.testing.assert_array_equal(model.generate(20, seed=0).X.toarray(), expected)


def test_an_untrained_model_is_saved_and_trained_where_it_is_loaded(tmp_path):
    model = fresh()
    model.save(tmp_path / "model", prefix="mine_")
    loaded = ACTIVA.load(tmp_path / "model", adata=make_counts(), prefix="mine_")
    assert not loaded.is_trained_
    for one in (model, loaded):
        one.train(1, **QUIET)
    np.testing.assert_array_equal(loaded.generate(9, seed=0).X.toarray(), model.generate(9, seed=0).X.toarray())


# Lightning 2.6 with PyTorch 2.15, in SCVI's training
@pytest.mark.filterwarnings(r"ignore:.*isinstance\(treespec, LeafSpec\):FutureWarning")
def test_several_models_of_one_anndata():
    adata = make_counts()
    ACTIVA.setup_anndata(adata, **SETUP)
    first = ACTIVA(adata, n_hidden=(16,), n_latent=4)
    first.train(2, **QUIET)
    before = first.get_latent_representation()
    scvi.model.SCVI.setup_anndata(adata)
    other = scvi.model.SCVI(adata, n_hidden=8)
    ACTIVA.setup_anndata(adata)
    second = ACTIVA(adata, n_hidden=(16,), n_latent=4)
    for one in (other, second):
        one.train(1, accelerator="cpu", log_every_n_steps=1, **QUIET)
    np.testing.assert_array_equal(first.get_latent_representation(), before)
    assert first.types.tolist() == ["B", "NK", "T"] and second.types.tolist() == ["all"]


def test_latents_of_some_cells_as_means_samples_and_distributions(model):
    mean, variance = model.get_latent_representation(return_dist=True)
    np.testing.assert_allclose(model.get_latent_representation(batch_size=7), mean, atol=1e-5)
    some = [9, 3, 200]
    np.testing.assert_allclose(model.get_latent_representation(indices=some), mean[some], atol=1e-5)
    with seeded(0):
        drawn = np.stack([model.get_latent_representation(indices=some, give_mean=False) for _ in range(300)])
    np.testing.assert_allclose(drawn.mean(0), mean[some], atol=5 * np.sqrt(variance[some].max() / 300))
    np.testing.assert_allclose(drawn.var(0), variance[some], rtol=0.5)


def test_setup_is_shown_and_kept(model, capsys):
    model.view_anndata_setup()
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("labels_key", "cell_type", "batch", "ACTIVA"))
    print(model)
    shown = capsys.readouterr().out
    assert "ACTIVA of 3 types" in shown and shown.count("minified?: False") == 1
    assert model.registry["setup_args"]["labels_key"] == "cell_type"


@pytest.mark.parametrize("how", ["groupby", "masks", "positions", "query"])
def test_differential_expression_takes_groups_as_scvi_tools_does(model, how):
    obs = model.adata.obs
    of_b, of_t = ((obs["cell_type"] == name).to_numpy() for name in ("B", "T"))
    given = {
        "groupby": {"groupby": "cell_type", "group1": "B", "group2": "T"},
        "masks": {"idx1": of_b, "idx2": of_t},
        "positions": {"idx1": np.flatnonzero(of_b), "idx2": np.flatnonzero(of_t)},
        "query": {"idx1": 'cell_type == "B"', "idx2": 'cell_type == "T"'},
    }[how]
    with seeded(0):
        table = model.differential_expression(**given, mode="change", silent=True)
    x = model.adata.X.toarray()
    share = x / x.sum(1, keepdims=True)
    truth = pd.Series(np.log2(share[of_b].mean(0) / share[of_t].mean(0)), index=model.adata.var_names)
    assert spearmanr(table["lfc_mean"], truth[table.index]).statistic > 0.8
    # genes 0 to 4 mark B cells, and genes 10 to 14 T cells
    markers = {f"gene_{i}" for i in (*range(5), *range(10, 15))}
    assert len(markers & set(table.sort_values("proba_de", ascending=False).index[:10])) >= 8


def test_batches_as_the_corrected_part_of_differential_expression(model):
    table = model.differential_expression(groupby="cell_type", mode="change", batch_correction=True, silent=True)
    assert set(table["comparison"]) == {f"{name} vs Rest" for name in ("B", "NK", "T")}
    assert len(table) == 3 * 40 and table["proba_de"].between(0, 1).all()
