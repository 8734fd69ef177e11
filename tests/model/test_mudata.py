"""Genes and proteins of one latent: MuData goes in and comes out."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from mudata import MuData, read_h5mu
from scipy.sparse import csr_matrix, issparse
from tests_helpers import QUIET, make_counts

from activa import ACTIVA
from activa.metrics.privacy import TooClose
from activa.train import Hinge, Soft

# mudata 0.4 asks pandas 3.1 for an argument that it has deprecated
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame.drop:DeprecationWarning")
MODALITIES = {"labels_key": "rna", "batch_key": "rna"}
SETUP = {"labels_key": "cell_type", "batch_key": "batch", "modalities": MODALITIES}


def make_mudata(kind: str = "values", n_cells: int = 240, seed: int = 0) -> MuData:
    """Cells of three types, with a factor that 15 genes and half of the proteins share within types."""
    rna = make_counts(n_cells, seed=seed)
    rng = np.random.default_rng([seed, 1])
    factor = rng.normal(size=n_cells)
    genes = rna.X.toarray()
    genes[:, 25:] = rng.poisson(6 * np.exp(0.8 * factor)[:, None], size=(n_cells, 15))
    rna.X = csr_matrix(genes.astype(np.float32))
    mean = np.zeros((n_cells, 6))
    mean[:, :3] = factor[:, None]
    mean[:, 3:] += 2.0 * (rna.obs["cell_type"].to_numpy()[:, None] == ["B", "NK", "T"])
    if kind == "values":
        proteins = mean + rng.normal(0, 0.5, size=mean.shape)
    else:
        stain = rng.lognormal(0, 0.4, size=(n_cells, 1))
        proteins = rng.poisson(stain * 30 * np.exp(0.7 * mean))
    names = pd.Index([f"cell_{i}" for i in range(n_cells)])
    var = pd.DataFrame({"isotype": "IgG"}, index=[f"protein_{i}" for i in range(6)])
    protein = ad.AnnData(proteins.astype(np.float32), obs=pd.DataFrame({"staining": 1.0}, index=names), var=var)
    return MuData({"rna": rna, "protein": protein})


def make_model(kind: str = "values", epochs: int = 60, mdata: MuData | None = None, **kwargs) -> ACTIVA:
    mdata = make_mudata(kind) if mdata is None else mdata
    ACTIVA.setup_mudata(mdata, **SETUP)
    model = ACTIVA(mdata, n_hidden=(32,), n_latent=5, **kwargs)
    model.train(max_epochs=epochs, batch_size=64, **QUIET)
    return model


@pytest.fixture(scope="module", params=["values", "counts"])
def model(request) -> ACTIVA:
    """A trained model of either kind of proteins; tests must leave it as it is."""
    return make_model(request.param)


@pytest.fixture
def mdata() -> MuData:
    return make_mudata()


def assert_same(first: MuData, second: MuData) -> None:
    for name in ("rna", "protein"):
        a, b = (x.toarray() if issparse(x) else x for x in (first[name].X, second[name].X))
        np.testing.assert_array_equal(a, b)
        pd.testing.assert_frame_equal(first[name].obs, second[name].obs)
        pd.testing.assert_frame_equal(first[name].var, second[name].var)
    pd.testing.assert_frame_equal(first.obs, second.obs)


def test_generated_cells_are_mudata_as_registered(model):
    cells = model.generate(labels={"T": 30, "B": 0, "NK": 12}, seed=0)
    assert isinstance(cells, MuData) and list(cells.mod) == ["rna", "protein"]
    for part in (cells, cells["rna"], cells["protein"]):
        assert part.obs["cell_type"].value_counts().to_dict() == {"T": 30, "NK": 12, "B": 0}
        assert set(part.obs["batch"]) <= {"one", "two"}
        assert list(part.obs_names) == list(cells.obs_names)
    assert (cells["rna"].X.data == np.round(cells["rna"].X.data)).all() and cells["rna"].X.format == "csr"
    pd.testing.assert_frame_equal(cells["rna"].var, model.adata["rna"].var)
    pd.testing.assert_frame_equal(cells["protein"].var, model.adata["protein"].var)
    assert cells.uns["activa"]["seed"] == 0


def test_proteins_are_of_the_registered_kind(model):
    real, proteins = model.adata["protein"].X, model.generate(300, seed=0)["protein"].X
    assert isinstance(proteins, np.ndarray) and proteins.dtype == np.float32 and np.isfinite(proteins).all()
    are_counts = (real == np.round(real)).all()
    assert (proteins == np.round(proteins)).all() == are_counts
    assert (proteins >= 0).all() == are_counts
    assert model.settings.protein_likelihood == ("nb" if are_counts else "normal")


def test_genes_and_proteins_vary_together_as_in_real_cells(model):
    def correlations(cells, chosen):
        proteins = cells["protein"].X[chosen]
        log = np.log1p(cells["rna"].X.toarray())[chosen]
        proteins = np.log1p(proteins) if (proteins >= 0).all() else proteins
        return np.corrcoef(log.T, proteins.T)[: log.shape[1], log.shape[1] :]

    labels = {"T": 600, "B": 300, "NK": 100}
    cells = model.generate(labels=labels, seed=0)
    every = slice(None)
    real, made = correlations(model.adata, every), correlations(cells, every)
    assert np.corrcoef(real.ravel(), made.ravel())[0, 1] > 0.8
    # the factor, within a type
    real, made = (correlations(c, (c["rna"].obs["cell_type"] == "T").to_numpy())[25:] for c in (model.adata, cells))
    assert real[:, :3].mean() > 0.4 and made[:, :3].mean() > 0.6 * real[:, :3].mean()
    assert np.abs(made[:, 3:]).mean() < 0.2


def test_proteins_have_the_mean_and_spread_of_their_type(model):
    cells = model.generate(labels={"B": 400, "T": 400}, seed=0)
    for name in ("B", "T"):
        real, made = (c["protein"].X[(c["rna"].obs["cell_type"] == name).to_numpy()] for c in (model.adata, cells))
        spread = real.std(axis=0)
        assert (np.abs(made.mean(axis=0) - real.mean(axis=0)) < 0.5 * spread).all()
        np.testing.assert_allclose(made.std(axis=0) / spread, 1, atol=0.45)


@pytest.mark.parametrize("kwargs", [{}, {"expected": True}, {"min_confidence": 0.0}])
def test_a_seed_repeats_whatever_the_batch_size(model, kwargs):
    first = model.generate(300, seed=3, **kwargs)
    assert_same(first, model.generate(300, seed=3, batch_size=1, **kwargs))
    chunks = list(model.generate_batches(300, seed=3, batch_size=100, **kwargs))
    assert [c.n_obs for c in chunks] == [256, 44] and all(isinstance(c, MuData) for c in chunks)
    assert_same(first[:256].copy(), chunks[0])
    assert (first["protein"].X != model.generate(300, seed=4, **kwargs)["protein"].X).any()


def test_refuse_compares_the_genes(model):
    rna = model.adata["rna"]
    refuse = TooClose(rna[:120], rna[120:], quantile=0.2)
    cells, plain = (model.generate(60, seed=0, refuse=given) for given in (refuse, None))
    assert not refuse.refuses(cells["rna"]).any()
    kept = ~refuse.refuses(plain["rna"])
    assert 0 < kept.sum() < 60
    for name in ("rna", "protein"):
        first, second = (x[name].X[kept] for x in (cells, plain))
        assert (first != second).sum() == 0


def test_expected_is_the_mean_of_what_is_sampled(model):
    z = np.tile(model.get_latent_representation()[:1], (2_000, 1))
    kwargs = {"labels": "T", "z": z, "batch": "one", "library_size": 300.0, "seed": 0}
    means = model.generate(2_000, expected=True, **kwargs)["protein"].X
    drawn = model.generate(2_000, **kwargs)["protein"].X
    tolerance = 5 * drawn.std(axis=0) / np.sqrt(len(drawn))
    assert (np.abs(means.mean(axis=0) - drawn.mean(axis=0)) < tolerance).all()


def test_input_and_global_state_are_left_as_they_were():
    mdata = make_mudata()
    before, state = mdata.copy(), np.random.get_state()[1].copy()
    model = make_model(mdata=mdata, epochs=1)
    model.generate(20, seed=0)
    model.augment(5, seed=0)
    assert (np.random.get_state()[1] == state).all()
    for name in ("rna", "protein"):
        own = [c for c in mdata[name].obs if not c.startswith("_scvi")]
        pd.testing.assert_frame_equal(mdata[name].obs[own], before[name].obs)
        pd.testing.assert_frame_equal(mdata[name].var, before[name].var)
    assert (mdata["rna"].X != before["rna"].X).nnz == 0
    np.testing.assert_array_equal(mdata["protein"].X, before["protein"].X)


# scvi-tools 1.5 asks mudata for a name that it has deprecated
@pytest.mark.filterwarnings("ignore:The method mod_names is deprecated:FutureWarning")
def test_saved_and_loaded(model, tmp_path):
    model.save(tmp_path / "model")
    cells = model.generate(20, seed=1)
    loaded = ACTIVA.load(tmp_path / "model", adata=False, accelerator="cpu")
    assert loaded.adata is None
    assert_same(loaded.generate(20, seed=1), cells)
    with pytest.raises(ValueError, match="without data"):
        loaded.augment(3)
    kind = "counts" if (cells["protein"].X >= 0).all() else "values"
    loaded = ACTIVA.load(tmp_path / "model", adata=make_mudata(kind), accelerator="cpu")
    assert_same(loaded.generate(20, seed=1), cells)
    np.testing.assert_allclose(loaded.get_latent_representation(), model.get_latent_representation(), atol=1e-5)
    loaded.train(max_epochs=1, **QUIET)


def test_augment_puts_new_cells_under_the_real_ones(model):
    more = model.augment(labels={"NK": 25}, seed=0)
    n = model.adata.n_obs
    new = model.generate(labels={"NK": 25}, seed=0)
    for name in ("rna", "protein"):
        real, made, all_ = (x.toarray() if issparse(x) else x for x in (model.adata[name].X, new[name].X, more[name].X))
        np.testing.assert_array_equal(all_, np.concatenate([real, made]))
    for part in (more, more["rna"], more["protein"]):
        assert list(part.obs["origin"]) == ["real"] * n + ["synthetic"] * 25
        assert list(part.obs["cell_type"][:n]) == list(model.adata["rna"].obs["cell_type"])
        assert set(part.obs["cell_type"][n:]) == {"NK"}
        assert not [c for c in part.obs if c.startswith("_scvi")]
    assert more["protein"].obs["staining"].isna().sum() == 25
    ACTIVA.setup_mudata(more, labels_key="cell_type")  # what comes out can go in


def test_what_scvi_tools_gives_is_of_the_genes(model):
    n, g = model.adata["rna"].shape
    expression = model.get_normalized_expression()
    assert expression.shape == (n, g) and list(expression.columns) == list(model.adata["rna"].var_names)
    few = model.get_normalized_expression(indices=[3, 4], gene_list=["gene_1", "gene_7"], n_samples=2)
    assert list(few.columns) == ["gene_1", "gene_7"] and list(few.index) == ["cell_3", "cell_4"]
    assert model.get_normalized_expression(n_samples=2, return_mean=False).shape == (2, n, g)
    assert np.isfinite(float(model.get_elbo()))
    assert model.get_marginal_ll(n_mc_samples=20) > float(model.get_elbo())
    assert model.posterior_predictive_sample(n_samples=2).shape == (n, g, 2)
    for method in (model.differential_expression, model.get_feature_correlation_matrix):
        with pytest.raises(NotImplementedError, match="MuData"):
            method()


def test_what_is_of_anndata_alone_is_refused(model, tmp_path):
    with pytest.raises(NotImplementedError, match="generate_batches"):
        model.generate_zarr(tmp_path / "cells.zarr", 5)
    with pytest.raises(NotImplementedError, match="minify_adata is not available for MuData: call minify_mudata"):
        model.minify_adata()
    with pytest.raises(TypeError, match="made of MuData: give the cells as MuData, got AnnData"):
        ACTIVA.load_query_data(model.adata["rna"], model)
    with pytest.raises(ValueError, match="realism='mmd' needs"):
        model.train(realism="mmd")
    assert not list(tmp_path.iterdir())


def test_predict_reads_the_genes(model):
    hard = model.predict()
    assert (hard == model.adata["rna"].obs["cell_type"]).mean() > 0.8
    assert (model.predict(model.adata) == hard).all() and (model.predict(model.adata["rna"]) == hard).all()


def test_the_latent_reads_the_proteins(model):
    """The factor is in both: proteins of other cells move the latent."""
    shuffled = model.adata.copy()
    shuffled["protein"].X = shuffled["protein"].X[::-1].copy()
    moved = model.get_latent_representation(shuffled) - model.get_latent_representation()
    assert np.abs(moved).mean() > 0.05


def test_layers_and_other_names_go_in_and_come_out():
    mdata = make_mudata("counts")
    genes, adt = mdata["rna"].copy(), mdata["protein"].copy()
    for part in (genes, adt):
        part.layers["counts"] = part.X.copy()
        part.X = np.log1p(part.X.toarray() if issparse(part.X) else part.X)
    adt.layers["counts"] = csr_matrix(adt.layers["counts"])
    other = MuData({"gex": genes, "adt": adt})
    other.obs["type"] = genes.obs["cell_type"]
    modalities = {"rna_layer": "gex", "protein_layer": "adt"}
    ACTIVA.setup_mudata(other, rna_layer="counts", protein_layer="counts", labels_key="type", modalities=modalities)
    model = ACTIVA(other, n_hidden=(32,), n_latent=5)
    model.train(max_epochs=2, **QUIET)
    cells = model.generate(10, seed=0)
    assert list(cells.mod) == ["gex", "adt"] and "type" in cells.obs
    for name in ("gex", "adt"):
        x, layer = (a.toarray() if issparse(a) else a for a in (cells[name].X, cells[name].layers["counts"]))
        np.testing.assert_array_equal(x, layer)
        assert (x == np.round(x)).all()


@pytest.mark.parametrize("kwargs", [{"architecture": "deep"}, {"gene_likelihood": "nb"}])
def test_every_architecture_trains_and_generates(mdata, kwargs):
    model = make_model(mdata=mdata, epochs=3, **kwargs)
    assert np.isfinite(model.generate(30, labels="T", seed=0)["protein"].X).all()


@pytest.mark.parametrize("kind", ["values", "counts"])
@pytest.mark.parametrize("game", [Soft(), Hinge()])
def test_the_critic_reads_generated_proteins(kind, game):
    mdata = make_mudata(kind)
    ACTIVA.setup_mudata(mdata, **SETUP)
    model = ACTIVA(mdata, n_hidden=(32,), n_latent=5)
    model.train(max_epochs=4, batch_size=64, game=game, **QUIET)
    assert np.isfinite(model.generate(30, seed=0)["protein"].X).all()


def test_what_is_written_reads_back(model, tmp_path):
    cells = model.generate(20, seed=0)
    cells.write_h5mu(tmp_path / "cells.h5mu")
    read = read_h5mu(tmp_path / "cells.h5mu")
    for name in ("rna", "protein"):
        a, b = (x.toarray() if issparse(x) else x for x in (read[name].X, cells[name].X))
        np.testing.assert_array_equal(a, b)
    assert read.uns["activa"]["version"] == cells.uns["activa"]["version"]


def test_cells_of_another_kind_are_refused(model):
    with pytest.raises(TypeError, match="MuData"):
        model.get_latent_representation(make_counts())
    renamed = make_mudata()
    renamed["protein"].var_names = [f"other_{i}" for i in range(6)]
    with pytest.raises(ValueError, match=r"mdata\['protein'\] has 6 proteins, 6 of the model's"):
        model.get_latent_representation(MuData({"rna": renamed["rna"], "protein": renamed["protein"]}))
    counts = make_counts()
    ACTIVA.setup_anndata(counts, labels_key="cell_type")
    of_anndata = ACTIVA(counts, n_hidden=(8,), n_latent=2)
    of_anndata.train(max_epochs=1, **QUIET)
    with pytest.raises(TypeError, match="AnnData"):
        of_anndata.get_latent_representation(make_mudata())


def test_seen_and_latents_are_told_of_both_modalities(model):
    told = model.generate(labels=["T", "B"], batch=["one", "two"], latents=True, expected=True, seed=0)
    assert told.obsm["latent"].shape == (2, 5) and told.obs["seen"].all() and told["rna"].obs["seen"].all()
    given = {"z": told.obsm["latent"], "library_size": told.obs["library_size"].to_numpy()}
    again = model.generate(labels=["T", "B"], batch=["one", "two"], **given, expected=True, seed=9)
    np.testing.assert_array_equal(again["rna"].X, told["rna"].X)
    assert model.augment(5, batch="one", latents=True, seed=0)["rna"].obs["seen"].dtype == bool
