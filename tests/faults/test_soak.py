"""Round after round in one process, files and threads do not grow; nor is a model or its cells kept that nobody has."""

import gc
import sys
import weakref

import pytest
from faults.soak import soak
from tests_helpers import make_counts, make_model

from activa import ACTIVA


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_rounds(tmp_path):
    table = soak(5, tmp_path)
    late = table.iloc[2:]
    assert (late[["files", "threads", "models", "data sets"]].nunique() == 1).all(), late


def test_a_model_that_is_let_go_lets_its_cells_go():
    adata = make_counts()
    model = make_model(adata, epochs=1)
    gone = weakref.ref(model), weakref.ref(adata)
    assert model.id in ACTIVA._per_instance_manager_store
    # scvi-tools' class keeps what was set up until it is told
    model.deregister_manager(adata)
    del model, adata
    gc.collect()
    assert [reference() for reference in gone] == [None, None]
