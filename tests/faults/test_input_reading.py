"""Every method that reads cells checks them as predict does; nothing is answered of other cells, or of other genes."""

import warnings

import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from anndata import AnnData
from faults.input_outcomes import changes, outcome, snapshot
from faults.input_reading import QUERY, READERS, cells, logs, reading_calls
from mudata import MuData
from tests_helpers import QUIET, make_counts

from activa import ACTIVA, pp
from activa.metrics import privacy
from activa.metrics.copying import exact_copies
from activa.seeds import seeded

SETUP = {"labels_key": "cell_type", "batch_key": "batch", "continuous_covariate_keys": ["age"]}
mudata_warns = pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame.drop:DeprecationWarning")


def made(adata: AnnData | None = None) -> ACTIVA:
    adata = make_counts(120) if adata is None else adata
    adata.obs["age"] = (adata.obs["age"] - 50) / 20
    ACTIVA.setup_anndata(adata, **SETUP)
    return ACTIVA(adata, n_hidden=8, n_latent=3)


def trained(adata: AnnData | None = None) -> ACTIVA:
    model = made(adata)
    model.train(max_epochs=1, **QUIET)
    return model


@pytest.fixture(scope="module")
def model() -> ACTIVA:
    """A trained model; tests must leave it as it is."""
    return trained()


def test_wrong_cells_and_arguments_are_refused_and_change_nothing(model):
    before, lost = snapshot(model.adata), []
    weights = {name: tensor.clone() for name, tensor in model.module.state_dict().items()}
    calls = reading_calls()
    for method, argument, value, error in calls:
        value = value() if callable(value) else value
        was = snapshot(value) if isinstance(value, AnnData) else {}
        given = READERS[method] | {argument: value}
        kind, message = outcome(lambda m=method, g=given: getattr(model, m)(**g))
        found = f"{method}({argument}={' '.join(repr(value).split())[:50]}): {kind}: {message}"
        if kind != error.__name__ or (isinstance(value, AnnData) and changes(was, value)):
            lost.append(found)
        if argument not in ("adata", "librarysize") and argument not in message:
            lost.append(f"does not name {argument}: {found}")
    assert not lost, "\n".join([f"{len(lost)} of {len(calls)} lost", *lost])
    assert not changes(before, model.adata)
    assert all((tensor == weights[name]).all() for name, tensor in model.module.state_dict().items())


@pytest.mark.parametrize("method", READERS)
def test_right_cells_are_read(model, method):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(?s).*redundant", UserWarning)  # of differential_abundance
        getattr(model, method)(adata=cells(), **READERS[method])


def test_untrained_models_answer_nothing():
    model = made()
    for method, given in READERS.items():
        with pytest.raises(RuntimeError, match="train"):
            getattr(model, method)(**given)
    for method in ("get_normalized_expression", "get_likelihood_parameters", "posterior_predictive_sample"):
        with pytest.raises(RuntimeError, match="train"):
            getattr(model, method)(dataloader=[])


def test_cells_that_were_changed_after_training_are_refused():
    model = trained()
    plain = model.augment(5, seed=0)
    sc.pp.normalize_total(model.adata, target_sum=1e4)
    sc.pp.log1p(model.adata)
    with pytest.raises(ValueError, match="not whole"):
        model.augment(5, seed=0)
    for method, given in READERS.items():
        with pytest.raises(ValueError, match="not whole"):
            getattr(model, method)(**given)
    assert (model.generate(5, seed=0).X != plain[-5:].X).nnz == 0


def test_only_the_cells_that_are_read_are_checked(model):
    adata = cells()
    adata.X.data[adata.X.indptr[7]] = np.nan
    assert model.get_latent_representation(adata, indices=[1, 6, -1]).shape == (3, 3)
    flags = np.arange(40) != 7
    np.testing.assert_allclose(
        model.get_latent_representation(adata, indices=flags),
        model.get_latent_representation(cells())[flags],
        atol=1e-6,
    )
    for indices in ([7], [1, 7, 1], np.arange(40) == 7):
        with pytest.raises(ValueError, match="finite"):
            model.get_latent_representation(adata, indices=indices)


def expressions(model, **given):
    with seeded(0):
        return model.get_normalized_expression(**given)


class TestExpression:
    @pytest.mark.parametrize("kind", ["anndata", pytest.param("mudata", marks=mudata_warns)])
    def test_columns_are_those_asked_for(self, model, kind):
        if kind == "mudata":
            rna = make_counts(120)
            proteins = AnnData(np.random.default_rng(0).poisson(5, (120, 4)).astype(np.float32), obs=rna.obs[[]].copy())
            mdata = MuData({"rna": rna, "protein": proteins})
            ACTIVA.setup_mudata(mdata, labels_key="cell_type", modalities={"labels_key": "rna"})
            model = ACTIVA(mdata, n_hidden=8, n_latent=3)
            model.train(max_epochs=1, **QUIET)
        every = expressions(model)
        wanted = ["gene_30", "gene_2", "gene_11", "gene_2"]
        found = expressions(model, gene_list=wanted)
        pd.testing.assert_frame_equal(found, every[wanted])
        np.testing.assert_array_equal(expressions(model, gene_list=wanted, return_numpy=True), every[wanted])
        few = expressions(model, gene_list=pd.Index(wanted), indices=[3, 1])
        assert list(few.index) == ["cell_3", "cell_1"] and list(few.columns) == wanted
        for bad, error in ((["NOPE"], KeyError), ([], ValueError)):
            with pytest.raises(error, match="gene_list"):
                model.get_normalized_expression(gene_list=bad)
        for bad in (-1, np.nan, np.inf):
            with pytest.raises(ValueError, match="library_size"):
                model.get_normalized_expression(library_size=bad)
        with pytest.raises(TypeError, match="librarysize"):
            model.get_normalized_expression(librarysize=1e4)
        drawn = model.get_normalized_expression(n_samples_overall=model.adata.n_obs)
        assert list(drawn.index) == list(range(model.adata.n_obs)) and list(drawn.columns) == list(every.columns)
        if kind == "mudata":
            model.adata["protein"].X[3, 1] = np.nan
            with pytest.raises(ValueError, match="protein.*finite"):
                model.get_latent_representation()

    @pytest.mark.parametrize("n", [1, 10, 120, 333])
    def test_samples_of_all_cells_have_no_names_of_cells(self, model, n):
        table = model.get_normalized_expression(n_samples_overall=n, gene_list=["gene_9", "gene_1"])
        assert table.shape == (n, 2) and list(table.columns) == ["gene_9", "gene_1"]
        assert isinstance(table.index, pd.RangeIndex)
        flags = np.arange(120) < 3
        array = model.get_normalized_expression(n_samples_overall=n, indices=flags, return_numpy=True)
        assert isinstance(array, np.ndarray) and array.shape == (n, 40)
        with pytest.raises(ValueError, match="n_samples_overall"):
            model.get_normalized_expression(n_samples_overall=n, n_samples=2)

    def test_predictive_samples_have_the_genes_asked_for(self, model):
        wanted = [30, 2, 11]
        names = [f"gene_{i}" for i in wanted]
        means = model.posterior_predictive_sample(n_samples=100).todense().mean(axis=(0, 2))[wanted]
        found = model.posterior_predictive_sample(n_samples=100, gene_list=names).todense().mean(axis=(0, 2))
        np.testing.assert_allclose(found, means, rtol=0.3)


BAD_LATENTS = {
    "nan": lambda mean, variance: (mean * np.nan, variance),
    "negative variance": lambda mean, variance: (mean, -variance),
    "infinite variance": lambda mean, variance: (mean, variance + np.inf),
    "columns": lambda mean, variance: (mean[:, :2], variance),
    "columns of variances": lambda mean, variance: (mean, np.hstack([variance, variance])),
    "words": lambda mean, variance: (mean.astype("U"), variance),
    "swapped": lambda mean, variance: (variance, mean),
}


@pytest.mark.parametrize("kind", BAD_LATENTS)
def test_latents_that_are_none_are_not_kept(model, kind):
    latents = model.get_latent_representation(return_dist=True)
    mean, variance = BAD_LATENTS[kind](*latents)
    model.adata.obsm["mean"], model.adata.obsm["variance"] = mean, variance
    before = snapshot(model.adata)
    with pytest.raises(ValueError, match="use_latent_qz[mv]_key"):
        model.minify_adata(use_latent_qzm_key="mean", use_latent_qzv_key="variance")
    assert not changes(before, model.adata) and model.minified_data_type is None
    del model.adata.obsm["mean"], model.adata.obsm["variance"]


@pytest.mark.parametrize("argument", QUERY)
def test_queries_are_checked(model, argument):
    for value, error in QUERY[argument]:
        given = {"adata": cells(), "reference_model": model} | {argument: value() if callable(value) else value}
        with pytest.raises(error):
            ACTIVA.load_query_data(**given)
    numbered = cells()
    numbered.obs["batch"] = 3
    with pytest.raises(TypeError, match="batch.*int.*str"):
        ACTIVA.load_query_data(numbered, model)
    with pytest.raises(TypeError, match="AnnData"):
        ACTIVA.prepare_query_anndata(pd.DataFrame({"a": [1]}), model)


def broken(value: float) -> AnnData:
    adata = cells()
    adata.X.data[0] = value
    return adata


PP = [
    (lambda: pp.scale_library(broken(-1), 1e4), ValueError, "negative"),
    (lambda: pp.scale_library(broken(np.nan), 1e4), ValueError, "finite"),
    (lambda: pp.scale_library(cells(), np.inf), ValueError, "target_sum"),
    (lambda: pp.scale_library(cells(), "1e4"), TypeError, "target_sum"),
    (lambda: pp.scale_library(sc.pp.log1p(cells(), copy=True), 1e4), ValueError, "log"),
    (lambda: pp.scale_library(cells(), log="yes"), TypeError, "log"),
    (lambda: pp.scale_library(cells(), layer="nope"), KeyError, "layer"),
    (lambda: pp.filter_low(broken(np.nan)), ValueError, "finite"),
    (lambda: pp.filter_low(broken(-1)), ValueError, "negative"),
    (lambda: pp.filter_low(cells(), min_genes=2.5), TypeError, "min_genes"),
    (lambda: pp.filter_low(cells(), min_cells=-1), ValueError, "min_cells"),
    (lambda: pp.filter_low(pd.DataFrame({"a": [1]})), TypeError, "AnnData"),
    (lambda: privacy.evaluate(cells(), cells(), cells(), fpr=None), TypeError, "fpr"),
    (lambda: privacy.evaluate(cells(), cells(), cells(), seed=None), TypeError, "seed"),
    (lambda: privacy.evaluate(cells(), cells(), cells(), seed=2**40), ValueError, "seed"),
    (lambda: privacy.evaluate(cells(), cells(), cells(), generator=3), TypeError, "generator"),
    (lambda: privacy.evaluate(cells(), cells(), cells(), n_shadows=2.5), TypeError, "n_shadows"),
    (lambda: privacy.evaluate(cells(), cells(), cells(), normalized="no"), TypeError, "normalized"),
    (lambda: privacy.shadow_attack(None, cells(), cells(), cells()), TypeError, "generator"),
    (lambda: privacy.TooClose(cells(), cells(), seed=-1), ValueError, "seed"),
]


@pytest.mark.parametrize("call, error, name", PP)
def test_preparation_and_privacy_refuse_what_they_would_read_wrongly(call, error, name):
    kind, message = outcome(call)
    assert kind == error.__name__ and name in message, message


def test_large_counts_that_differ_are_no_copies():
    assert exact_copies([[2**24 + 1]], [[2**24]]) == 0.0
    assert exact_copies([[2**24 + 1]], [[2**24 + 1]]) == 1.0


def test_latents_that_no_cell_has_are_refused(model):
    with pytest.raises(ValueError, match="z must be latents"):
        model.generate(3, z=np.full((3, 3), 1e30), seed=0)


def test_log_values_have_another_name(model):
    with pytest.raises(ValueError, match="not whole"):
        model.predict(logs())
