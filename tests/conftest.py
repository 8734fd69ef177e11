import anndata as ad
import pytest
from tests_helpers import make_counts, make_model

from activa import ACTIVA


@pytest.fixture
def counts() -> ad.AnnData:
    return make_counts()


@pytest.fixture(scope="session")
def model() -> ACTIVA:
    """A trained model; tests must leave it as it is."""
    return make_model(epochs=80, setup={"labels_key": "cell_type", "batch_key": "batch"})
