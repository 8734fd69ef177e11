import numpy as np
import pandas as pd
import pytest
import torch
from scvi.model.base import BaseModelClass
from tests_helpers import QUIET, make_counts, make_model

from activa import ACTIVA
from activa.design import BATCH, LABEL, N_CELLS
from activa.train import Soft

SETUP = {"labels_key": "cell_type", "batch_key": "batch"}
COVARIATES = {"categorical_covariate_keys": ["sex"], "continuous_covariate_keys": ["age"]}


def make_reference():
    return make_counts(360)[:240].copy()


def make_query(new="three"):
    """Further cells, of a known batch and of a new one, which has genes of its own."""
    adata = make_counts(360)[240:].copy()
    adata.obs["batch"] = adata.obs["batch"].cat.rename_categories({"two": new})
    x = adata.X.toarray()
    x[adata.obs["batch"] == new, 30:33] *= 8
    adata.X = type(adata.X)(x)
    return adata


def tensors_of(model, adata):
    model._validate_anndata(adata)
    (minibatch,) = BaseModelClass._make_data_loader(model, adata=adata, batch_size=adata.n_obs)
    return minibatch


@torch.inference_mode()
def all_that_is_made_of(model, adata):
    """Everything the module makes of cells: latents, distribution of counts, library size, score, types."""
    module, batch = model.module.eval(), tensors_of(model, adata)
    design = module.condition(batch)
    mu, log_var = module.encode(batch["X"], design)
    px = module.decode(mu, batch["X"].sum(-1, keepdim=True).log(), design)
    library = module.library.distribution(module._library_input(mu, design))
    score = module.prior.kl(mu, log_var, mu, design.y.squeeze(-1))
    return [
        mu,
        log_var,
        px.mean,
        px.variance,
        px.log_prob(batch["X"]),
        library.mean,
        score,
        module.classify(batch["X"]),
    ]


def state(model):
    return {name: tensor.clone() for name, tensor in model.module.state_dict().items()}


def with_random_weights(adata, **kwargs):
    """A model none of whose weights is special, as training leaves some where they started."""
    ACTIVA.setup_anndata(adata, **SETUP, **COVARIATES)
    model = ACTIVA(adata, n_hidden=(32,), n_latent=5, **kwargs)
    with torch.no_grad():
        for parameter in model.module.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)))
    model.is_trained_ = True
    return model


@pytest.mark.parametrize("architecture", ["log-linear", "deep"])
@pytest.mark.parametrize("gene_likelihood", ["nb-outlier", "nb"])
def test_reference_cells_are_read_and_decoded_as_before(architecture, gene_likelihood):
    reference = with_random_weights(make_reference(), architecture=architecture, gene_likelihood=gene_likelihood)
    query = make_query()
    query.obs["sex"] = query.obs["sex"].cat.rename_categories({"m": "x"})
    expected, before = all_that_is_made_of(reference, reference.adata), state(reference)
    model = ACTIVA.load_query_data(query, reference, accelerator="cpu")
    assert (model.module.n_batch, model.module.n_cats_per_cov) == (3, (3,))
    for found, value in zip(all_that_is_made_of(model, make_reference()), expected, strict=True):
        torch.testing.assert_close(found, value, rtol=0, atol=1e-6 * float(value.abs().max()))
    assert all(torch.equal(value, before[name]) for name, value in state(reference).items())


@pytest.mark.parametrize("kwargs", [{"architecture": "deep"}, {"gene_likelihood": "nb"}])
def test_training_leaves_reference_cells_where_they_are(kwargs):
    reference = with_random_weights(make_reference(), **kwargs)
    model = ACTIVA.load_query_data(make_query(), reference, accelerator="cpu")
    of_query = all_that_is_made_of(model, model.adata)
    expected = all_that_is_made_of(model, make_reference())
    model.train(max_epochs=2, **QUIET)
    for found, value in zip(all_that_is_made_of(model, make_reference()), expected, strict=True):
        torch.testing.assert_close(found, value, rtol=0, atol=0)
    # types are recognized by the counts alone; all else of the query's cells has moved
    assert [torch.equal(a, b) for a, b in zip(all_that_is_made_of(model, model.adata), of_query, strict=True)] == [
        False
    ] * 7 + [True]


def test_one_batch_becomes_two():
    reference = make_model(make_reference()[make_reference().obs["batch"] == "one"].copy(), epochs=3, setup=SETUP)
    expected = all_that_is_made_of(reference, reference.adata)
    model = ACTIVA.load_query_data(make_query(), reference, accelerator="cpu")
    assert model.module.n_batch == 2
    for found, value in zip(all_that_is_made_of(model, reference.adata), expected, strict=True):
        torch.testing.assert_close(found, value)


@pytest.fixture(scope="module")
def reference():
    return make_model(make_reference(), epochs=80, setup=SETUP)


@pytest.fixture(scope="module")
def extended(reference):
    """The reference with a third batch, trained."""
    model = ACTIVA.load_query_data(make_query(), reference, accelerator="cpu")
    model.train(max_epochs=150, **QUIET)
    return model


def test_training_moves_only_the_new_batch(reference, extended):
    model = ACTIVA.load_query_data(make_query(), reference, accelerator="cpu")
    before = state(model)
    for game in (None, Soft(n_epochs_warmup=0)):
        model.train(max_epochs=1, game=game, batch_size=32, **QUIET)
    moved = {name for name, value in state(model).items() if not torch.equal(value, before[name])}
    assert moved == {
        "encoder.hidden.0.weight",
        "generator.mean.weight",
        "generator.curve.0.0.weight",
        "library.layers.0.weight",
        "prior.batch_logits",
    }
    for name in moved:
        columns = (model.module.state_dict()[name] != before[name]).flatten(0, -2).any(0).nonzero().squeeze(-1)
        assert columns.tolist() == [{"encoder": 40, "prior": 0}.get(name.split(".")[0], 5) + 2], name
    assert all(p.requires_grad for p in model.module.parameters())


def test_the_reference_stays_where_it_was(reference, extended):
    adata = make_reference()
    np.testing.assert_array_equal(
        extended.get_latent_representation(adata), reference.get_latent_representation(make_reference())
    )
    np.testing.assert_array_equal(extended.predict(make_reference()), reference.predict())
    kwargs = {"labels": {"T": 40, "NK": 10}, "batch": "two", "seed": 3}
    np.testing.assert_array_equal(extended.generate(**kwargs).X.toarray(), reference.generate(**kwargs).X.toarray())


def test_the_new_batch_is_learnt(reference, extended):
    untrained = ACTIVA.load_query_data(make_query(), reference, accelerator="cpu")
    untrained.is_trained_ = True  # as it is, it is refused
    cells = np.flatnonzero(extended.adata.obs["batch"] == "three")
    assert float(extended.get_elbo(indices=cells)) > float(untrained.get_elbo(indices=cells)) + 1
    new, old = (extended.generate(600, batch=b, seed=0).X.toarray().mean(0) for b in ("three", "one"))
    real = make_query().X.toarray()[cells].mean(0)
    assert new[30:33].mean() > 2 * old[30:33].mean()
    assert np.abs(np.log(new / real)).mean() < 0.7 * np.abs(np.log(old / real)).mean()
    drawn = extended.generate(600, seed=0).obs["batch"].value_counts(normalize=True)
    assert set(drawn.index[drawn > 0]) == {"one", "two", "three"}


def test_the_design_is_of_both(reference, extended):
    cells = pd.concat([make_reference().obs, make_query().obs])
    expected = cells.groupby(["cell_type", "batch"]).size()
    mapping = extended.registry_["field_registries"]["batch"]["state_registry"]["categorical_mapping"]
    found = extended.design_
    assert list(mapping) == ["one", "two", "three"] and found[N_CELLS].sum() == len(cells)
    for _, row in found.iterrows():
        assert row[N_CELLS] == expected[extended.types[row[LABEL]], mapping[row[BATCH]]]


def test_it_is_saved_frozen_and_a_folder_will_do(reference, extended, tmp_path):
    reference.save(tmp_path / "reference")
    extended.save(tmp_path / "extended")
    model = ACTIVA.load(tmp_path / "extended", adata=make_query(), accelerator="cpu")
    before = reference.get_latent_representation()
    model.train(max_epochs=2, **QUIET)
    np.testing.assert_array_equal(model.get_latent_representation(make_reference()), before)
    again = ACTIVA.load_query_data(make_query(), str(tmp_path / "reference"), accelerator="cpu")
    again.train(max_epochs=150, **QUIET)
    for name, value in extended.module.state_dict().items():
        torch.testing.assert_close(again.module.state_dict()[name], value)
    # a fourth batch, on top of the third
    fourth = ACTIVA.load_query_data(make_query(new="four"), extended, accelerator="cpu")
    fourth.train(max_epochs=2, **QUIET)
    kwargs = {"labels": {"T": 30}, "batch": "three", "seed": 0}
    np.testing.assert_array_equal(fourth.generate(**kwargs).X.toarray(), extended.generate(**kwargs).X.toarray())


def test_a_query_may_have_fewer_types(reference):
    query = make_query()[make_query().obs["cell_type"] == "T"].copy()
    model = ACTIVA.load_query_data(query, reference, accelerator="cpu")
    model.train(max_epochs=3, **QUIET)
    with pytest.warns(UserWarning, match="in these batches: NK in three. Their 20 cells"):
        cells = model.generate(labels={"NK": 20, "T": 20}, batch="three", seed=0)
    assert set(cells.obs["batch"]) == {"three"} and list(model.types) == ["B", "NK", "T"]
    np.testing.assert_array_equal(model.module.prior.loc.detach(), reference.module.prior.loc.detach())


def test_unfrozen_all_is_trained_but_the_prior_of_absent_types(reference):
    query = make_query()[make_query().obs["cell_type"] != "B"].copy()
    model = ACTIVA.load_query_data(query, reference, accelerator="cpu", unfrozen=True)
    before = state(model)
    model.train(max_epochs=2, **QUIET)
    after = model.module.state_dict()
    assert not torch.equal(after["encoder.linear.weight"], before["encoder.linear.weight"])
    assert torch.equal(after["prior.loc"][0], before["prior.loc"][0])
    assert not torch.equal(after["prior.loc"][2], before["prior.loc"][2])


@pytest.mark.parametrize("column", [True, False])
def test_unlabeled_query_cells(column):
    adata = make_reference()
    adata.obs["cell_type"] = adata.obs["cell_type"].cat.add_categories("unknown")
    adata.obs.loc[adata.obs_names[:30], "cell_type"] = "unknown"
    reference = make_model(adata, epochs=60, setup=SETUP | {"unlabeled_category": "unknown"})
    query = make_query()
    truth = query.obs.pop("cell_type")
    if column:
        query.obs["cell_type"] = "unknown"
        model = ACTIVA.load_query_data(query, reference, accelerator="cpu")
    else:
        with pytest.warns(UserWarning, match="Filling in with unlabeled category"):
            model = ACTIVA.load_query_data(query, reference, accelerator="cpu")
    model.train(max_epochs=20, **QUIET)
    assert (model.predict() == truth).mean() > 0.8
    # the cells of the batch have no types that one could know
    with pytest.warns(UserWarning, match="B in three, NK in three, T in three. Their 200 cells"):
        cells = model.generate(200, batch="three", seed=0)
    assert set(cells.obs["cell_type"]) <= {"B", "NK", "T"}
    np.testing.assert_array_equal(model.get_latent_representation(adata.copy()), reference.get_latent_representation())


def test_cells_without_a_new_category_need_no_training(reference):
    query = make_counts(60, seed=4)
    model = ACTIVA.load_query_data(query, reference, accelerator="cpu")
    assert model.generate(5, batch="one", seed=0).n_obs == 5
    assert model.get_latent_representation().shape == (60, 5)
    with pytest.raises(ValueError, match="nothing to train"):
        model.train(max_epochs=1, **QUIET)


def test_query_genes_are_brought_into_order(reference):
    other = make_query()[:, ::-1].copy()
    ready = ACTIVA.prepare_query_anndata(other, reference, inplace=False)
    assert list(ready.var_names) == list(reference.get_var_names())
    assert list(other.var_names) == list(ready.var_names)[::-1]
    np.testing.assert_array_equal(ready.X.toarray(), make_query().X.toarray())
    fewer = ACTIVA.prepare_query_anndata(make_query()[:, 3:].copy(), reference, inplace=False)
    assert not fewer.X[:, :3].nnz and list(fewer.var_names) == list(ready.var_names)
    model = ACTIVA.load_query_data(fewer, reference, accelerator="cpu")
    model.train(max_epochs=1, **QUIET)


def test_what_a_query_cannot_be(reference, counts):
    with pytest.raises(TypeError, match="AnnData"):
        ACTIVA.load_query_data(np.ones((3, 40)), reference)
    with pytest.raises(TypeError, match="reference_model"):
        ACTIVA.load_query_data(make_query(), reference.module)
    query = make_query()
    query.obs["cell_type"] = query.obs["cell_type"].cat.rename_categories({"NK": "Mast"})
    before = query.copy()
    with pytest.raises(ValueError, match="Mast"):
        ACTIVA.load_query_data(query, reference)
    del query.obs["cell_type"]
    with pytest.raises(KeyError, match="unlabeled_category"):
        ACTIVA.load_query_data(query, reference)
    assert set(query.uns) == set(before.uns) and "_scvi_batch" not in query.obs
    ACTIVA.setup_anndata(counts, labels_key="cell_type")
    with pytest.raises(RuntimeError, match="reference_model has not been trained"):
        ACTIVA.load_query_data(make_query(), ACTIVA(counts))
