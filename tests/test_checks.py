import anndata as ad
import numpy as np
import pytest
from mudata import MuData
from scipy.sparse import csr_matrix
from tests_helpers import make_counts

from activa import ACTIVA
from activa.checks import check_genes, check_proteins, check_values, positions, row_slices

# mudata 0.4 asks pandas 3.1 for an argument that it has deprecated
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame.drop:DeprecationWarning")


def test_totals_of_sparse_and_dense_cells_are_their_sums():
    x = make_counts().X
    for values in (x, x.toarray()):
        total = check_values(values, layer=None, gene_likelihood="nb")
        assert total.dtype == np.float64
        np.testing.assert_array_equal(total, np.asarray(x.sum(1)).ravel())


@pytest.mark.parametrize(
    "value, likelihood, match",
    [
        (np.nan, "normal", "not finite"),
        (-1.0, "normal", "negative"),
        (0.5, "nb", "not whole"),
        (0.5, "nb-outlier", "not whole"),
    ],
)
def test_values_that_do_not_suit_the_likelihood_are_refused(value, likelihood, match):
    x = np.ones((5, 3))
    x[3, 1] = value
    with pytest.raises(ValueError, match=match):
        check_values(x, layer=None, gene_likelihood=likelihood)
    x[3] = 0
    with pytest.raises(ValueError, match="1 cells without any counts"):
        check_values(csr_matrix(x), layer="counts", gene_likelihood=likelihood)


def test_proteins_choose_or_must_suit_their_likelihood():
    counts, values = np.ones((4, 2)), np.full((4, 2), -0.5)
    asked = {"layer": None, "modality": "protein"}
    assert check_proteins(counts, None, **asked) == check_proteins(counts, "nb", **asked) == "nb"
    assert check_proteins(values, None, **asked) == check_proteins(values, "normal", **asked) == "normal"
    for wrong, likelihood, match in (
        (values, "nb", "not counts"),
        (counts, "normal", "whole counts"),
        (counts * np.nan, None, "finite"),
    ):
        with pytest.raises(ValueError, match=rf"mdata\['protein'\].X.*{match}"):
            check_proteins(wrong, likelihood, **asked)


def test_positions_are_numbers_or_flags():
    np.testing.assert_array_equal(positions([0, -1], 5), [0, 4])
    np.testing.assert_array_equal(positions([True, False, True], 3), [0, 2])
    for wrong, error in (
        ([], ValueError),
        ([5], ValueError),
        ([True], ValueError),
        ("a", TypeError),
        ([0.5], TypeError),
    ):
        with pytest.raises(error, match="indices"):
            positions(wrong, 5)


def test_genes_must_be_the_models_in_its_order():
    adata = make_counts(5, 3)
    trained = adata.var_names.to_numpy()
    check_genes(adata, trained)
    with pytest.raises(ValueError, match="another order"):
        check_genes(adata[:, ::-1], trained)
    with pytest.raises(ValueError, match="1 of the model's 3 are not among them"):
        check_genes(adata[:, :2], trained)


def test_slices_cover_every_row_once():
    rows = np.concatenate([np.arange(25_000)[part] for part in row_slices(25_000)])
    np.testing.assert_array_equal(rows, np.arange(25_000))
    assert max(part.stop - part.start for part in row_slices(25_000)) == 10_000


@pytest.fixture
def mdata() -> MuData:
    rna = make_counts()
    protein = ad.AnnData(np.random.default_rng(0).normal(size=(rna.n_obs, 6)).astype(np.float32))
    protein.obs_names = rna.obs_names
    return MuData({"rna": rna, "protein": protein})


@pytest.mark.parametrize(
    "setup, error, match",
    [
        ({"labels_key": "nope"}, KeyError, "labels_key='nope' is not a column of adata.obs"),
        ({"labels_key": 3}, TypeError, "labels_key must be the name"),
        ({"layer": "nope"}, KeyError, "layer='nope'"),
        ({"categorical_covariate_keys": "sex"}, TypeError, r"write \['sex'\]"),
        ({"categorical_covariate_keys": ["sex", "sex"]}, ValueError, "each column once"),
        ({"continuous_covariate_keys": ["sex"]}, ValueError, "finite numbers"),
        ({"size_factor_key": "nothing"}, ValueError, "positive"),
        ({"batch_key": "gaps"}, ValueError, "missing for 3 of 240"),
        ({"batch_key": "mixed"}, ValueError, "no order"),
        ({"unlabeled_category": "x"}, ValueError, "labels_key"),
        ({"labels_key": "nothing", "unlabeled_category": 0}, ValueError, "every cell"),
    ],
)
def test_setup_of_anndata_refuses_and_changes_nothing(counts, setup, error, match):
    counts.obs["nothing"] = 0
    counts.obs["gaps"] = ["a"] * 237 + [None] * 3
    counts.obs["mixed"] = np.array([1, "a"] * 120, dtype=object)
    before = list(counts.obs), set(counts.uns)
    with pytest.raises(error, match=match):
        ACTIVA.setup_anndata(counts, **setup)
    assert (list(counts.obs), set(counts.uns)) == before


@pytest.mark.parametrize(
    "setup, error, match",
    [
        ({"labels_key": "nope"}, KeyError, "labels_key='nope' is not a column of mdata.obs"),
        ({"labels_key": "cell_type"}, KeyError, "modalities=.*'labels_key': 'rna'"),
        ({"rna_layer": "nope"}, KeyError, "rna_layer='nope'"),
        ({"protein_layer": "nope"}, KeyError, "protein_layer='nope'"),
        ({"modalities": {"protein_layer": "adt"}}, KeyError, "'adt' is not in mdata"),
        ({"modalities": {"protein_layer": "rna"}}, ValueError, "both 'rna'"),
        ({"modalities": {"protein": "protein"}}, ValueError, r"\['protein'\]"),
        ({"modalities": "rna"}, TypeError, "modalities must map"),
        ({"labels_key": 5}, TypeError, "labels_key must be the name of a column"),
        ({"categorical_covariate_keys": "sex"}, TypeError, "list"),
        ({"size_factor_key": "nope"}, KeyError, "size_factor_key='nope'"),
        ({"unlabeled_category": "x"}, ValueError, "labels_key"),
    ],
)
def test_setup_of_mudata_refuses_and_changes_nothing(mdata, setup, error, match):
    before = set(mdata.uns), set(mdata["rna"].obs), set(mdata["rna"].uns)
    with pytest.raises(error, match=match):
        ACTIVA.setup_mudata(mdata, **setup)
    assert (set(mdata.uns), set(mdata["rna"].obs), set(mdata["rna"].uns)) == before


def test_setup_refuses_modalities_without_values(mdata):
    mdata.mod["rna"].layers["counts"] = mdata["rna"].X
    mdata.mod["rna"].X = None
    with pytest.raises(ValueError, match=r"mdata\['rna'\].X is None: name the layer of the values as rna_layer="):
        ACTIVA.setup_mudata(mdata)
    ACTIVA.setup_mudata(mdata, rna_layer="counts")


def test_setup_refuses_modalities_whose_cells_are_not_the_same(mdata):
    with pytest.raises(TypeError, match="setup_anndata"):
        ACTIVA.setup_mudata(mdata["rna"])
    fewer = MuData({"rna": mdata["rna"].copy(), "protein": mdata["protein"][:200].copy()})
    turned = MuData({"rna": mdata["rna"].copy(), "protein": mdata["protein"][::-1].copy()})
    for other in (fewer, turned):
        with pytest.raises(ValueError, match="'protein'.*cells of mdata"):
            ACTIVA.setup_mudata(other)
