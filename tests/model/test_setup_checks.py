import anndata as ad
import numpy as np
import pytest
from mudata import MuData
from tests_helpers import make_counts

from activa import ACTIVA

# mudata 0.4 asks pandas 3.1 for an argument that it has deprecated
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame.drop:DeprecationWarning")


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
        ({"batch_key": "mixed"}, ValueError, "cannot be sorted"),
        ({"unlabeled_category": "x"}, ValueError, "labels_key"),
        ({"labels_key": "cell_type", "unlabeled_category": "x"}, ValueError, "is not a value of"),
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


def test_setup_refuses_modalities_whose_cells_are_not_the_same(mdata):
    with pytest.raises(TypeError, match="setup_anndata"):
        ACTIVA.setup_mudata(mdata["rna"])
    fewer = MuData({"rna": mdata["rna"].copy(), "protein": mdata["protein"][:200].copy()})
    turned = MuData({"rna": mdata["rna"].copy(), "protein": mdata["protein"][::-1].copy()})
    for other in (fewer, turned):
        with pytest.raises(ValueError, match="'protein'.*cells of mdata"):
            ACTIVA.setup_mudata(other)
