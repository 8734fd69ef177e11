import pytest
from tests_helpers import make_counts, make_model

from activa import ACTIVA


@pytest.fixture(scope="package")
def wide() -> ACTIVA:
    """A model of 1,000 genes in three types and two batches; tests must not change it."""
    cells = make_counts(600, 1000)
    return make_model(cells, epochs=15, setup={"labels_key": "cell_type", "batch_key": "batch"})
