"""MuData minified to latents, and as scArches queries, as TOTALVI's users have them."""

import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from mudata import MuData
from tests_helpers import QUIET, make_counts

from activa import ACTIVA

# mudata 0.4 asks pandas 3.1 for an argument that it has deprecated, and scvi-tools 1.5 asks mudata for an old name
pytestmark = [
    pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame.drop:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The method mod_names is deprecated:FutureWarning"),
]
ROLES = {"labels_key": "rna", "batch_key": "rna"}
KEPT = ["latent_posterior_parameters", "latent_posterior_parameters_with_counts"]


def make_cells(kind: str, seed: int = 0, new: str | None = None) -> MuData:
    """Genes and proteins of three types; with a new batch, all cells are of it, and their proteins have other totals."""
    rna, rng = make_counts(seed=seed), np.random.default_rng([seed, 1])
    mean = 20.0 * np.exp(rng.normal(0, 0.3, size=(rna.n_obs, 6)))
    mean[:, :3] *= 1 + 2 * (rna.obs["cell_type"].to_numpy()[:, None] == ["B", "NK", "T"])
    if new is not None:
        rna.obs["batch"] = new
        mean[:, 3:] *= 3
    x = rng.poisson(mean).astype(np.float32) if kind == "counts" else np.log(mean).astype(np.float32)
    var = pd.DataFrame(index=[f"protein_{i}" for i in range(6)])
    return MuData({"rna": rna, "protein": ad.AnnData(x, obs=pd.DataFrame(index=rna.obs_names), var=var)})


def train(kind: str, **settings) -> ACTIVA:
    mdata = make_cells(kind)
    ACTIVA.setup_mudata(mdata, labels_key="cell_type", batch_key="batch", modalities=ROLES)
    model = ACTIVA(mdata, n_hidden=(16,), n_latent=5, **settings)
    model.train(20, batch_size=64, **QUIET)
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A trained model in a folder, which tests must leave as it is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # marks do not reach fixtures of a module
        path = tmp_path_factory.mktemp("proteins") / "model"
        train("counts").save(path)
    return path


def load(folder) -> ACTIVA:
    model = ACTIVA.load(folder, adata=make_cells("counts"))
    mean, variance = model.get_latent_representation(return_dist=True)
    model.adata.obsm["X_latent_qzm"], model.adata.obsm["X_latent_qzv"] = mean, variance
    return model


@pytest.mark.parametrize("kept", KEPT)
def test_minified_cells_answer_as_counts_do(folder, kept, tmp_path):
    model = load(folder)
    cells, latents = model.adata, model.adata.obsm["X_latent_qzm"]
    expected = model.get_normalized_expression(n_samples=50, return_numpy=True)
    made = model.generate(20, seed=0)
    model.minify_mudata(kept)
    assert cells["rna"].X.nnz and "observed_lib_size" not in cells.obs
    totals = np.asarray(cells["rna"].X.sum(axis=1)).ravel()
    model.save(tmp_path / "small", save_anndata=True)
    for one in (model, ACTIVA.load(tmp_path / "small")):
        assert one.minified_data_type == kept
        assert (abs(one.adata["protein"].X).sum() == 0) == (one.adata["rna"].X.nnz == 0) == (kept == KEPT[0])
        np.testing.assert_allclose(one.adata.obs["observed_lib_size"], totals)
        np.testing.assert_allclose(one.get_latent_representation(), latents, rtol=1e-5)
        found = one.get_normalized_expression(n_samples=50, return_numpy=True)
        assert np.corrcoef(np.log(found).ravel(), np.log(expected).ravel())[0, 1] > 0.99
        again = one.generate(20, seed=0)
        assert (again["rna"].X != made["rna"].X).nnz == 0
        np.testing.assert_array_equal(again["protein"].X, made["protein"].X)
        with pytest.raises(ValueError, match="minified"):
            one.train(1)


def test_what_needs_counts_says_so(folder):
    model = load(folder)
    model.minify_mudata()
    for call in (model.get_elbo, model.predict, lambda: model.augment(3), model.minify_mudata):
        with pytest.raises(ValueError, match="minified"):
            call()
    adata = make_counts()
    ACTIVA.setup_anndata(adata)
    with pytest.raises(ValueError, match="this one is of AnnData: call minify_adata"):
        ACTIVA(adata, n_hidden=(8,), n_latent=2).minify_mudata()


@pytest.mark.parametrize("architecture", ["log-linear", "deep"])
@pytest.mark.parametrize("kind", ["counts", "values"])
def test_a_query_learns_its_batch_and_leaves_the_reference_where_it_is(kind, architecture, tmp_path):
    reference, cells = train(kind, architecture=architecture), make_cells(kind)
    before = reference.get_latent_representation(cells), reference.get_normalized_expression(cells, return_numpy=True)
    made = reference.generate(labels="T", n=200, batch="two", expected=True, seed=0)
    model = ACTIVA.load_query_data(make_cells(kind, seed=1, new="three"), reference)
    model.train(30, batch_size=32, plan_kwargs={"lr": 1e-2}, **QUIET)
    np.testing.assert_allclose(model.get_latent_representation(cells), before[0], atol=1e-5)
    of_known = model.generate(labels="T", n=200, batch="two", expected=True, seed=0)
    np.testing.assert_allclose(of_known["protein"].X.mean(0), made["protein"].X.mean(0), rtol=0.05, atol=0.02)
    # in the new batch three proteins are three times as frequent beside the others
    of_new = model.generate(labels="T", n=200, batch="three", expected=True, seed=0)["protein"].X.mean(0)
    was = of_known["protein"].X.mean(0)
    if kind == "counts":
        of_new, was = np.log(of_new), np.log(was)
    assert (of_new - was)[3:].mean() - (of_new - was)[:3].mean() > 0.5
    model.save(tmp_path / "both")
    loaded = ACTIVA.load(tmp_path / "both", adata=make_cells(kind, seed=1, new="three"))
    np.testing.assert_array_equal(*(m.generate(5, labels="T", seed=0)["protein"].X for m in (loaded, model)))


def test_queries_for_folders_and_exports_with_other_variables_brought_into_order(folder, tmp_path):
    query = make_cells("counts", seed=1, new="three")
    shuffled = MuData({"rna": query["rna"][:, ::-1][:, :38].copy(), "protein": query["protein"][:, ::-1].copy()})
    ordered = ACTIVA.prepare_query_mudata(shuffled, str(folder), inplace=False)
    assert list(ordered["protein"].var_names) == list(query["protein"].var_names) and ordered["rna"].n_vars == 40
    assert not ordered["rna"][:, ["gene_0", "gene_1"]].X.toarray().any()
    model = ACTIVA.load_query_data(ordered, folder)
    model.train(1, **QUIET)
    assert set(model.generate(5, batch="three", seed=0)["rna"].obs["batch"]) == {"three"}

    without = ACTIVA.load(folder, adata=False)
    without.export(tmp_path / "export")
    assert ACTIVA.load_query_data(query, ACTIVA.from_export(tmp_path / "export")).design.batches.tolist()[-1] == "three"
    without.save(tmp_path / "again")
    assert ACTIVA.load(tmp_path / "again", adata=make_cells("counts")).get_latent_representation().shape == (240, 5)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda m: m["rna"].copy(), TypeError, "made of MuData: give the cells as MuData, got AnnData"),
        (lambda m: MuData({"rna": m["rna"].copy()}), KeyError, "protein"),
        (lambda m: MuData({"rna": m["rna"].copy(), "protein": m["protein"][:, :4].copy()}), ValueError, "proteins"),
    ],
)
def test_what_a_query_cannot_be(folder, change, error, message):
    with pytest.raises(error, match=message):
        ACTIVA.load_query_data(change(make_cells("counts", seed=1)), folder)
    with pytest.raises(ValueError, match="is for AnnData: call prepare_query_mudata"):
        ACTIVA.load_query_data(make_cells("counts", seed=1), folder, inplace_subset_query_vars=True)
