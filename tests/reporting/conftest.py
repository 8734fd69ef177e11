import warnings

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from tests_helpers import make_counts

import activa

HOSTILE = "<script>document.title = 'broken'</script> & \"NK\""


@pytest.fixture(scope="package")
def sets():
    """Real, synthetic and training cells; a type and the generator are called as nobody should call them."""
    made = {"real": make_counts(240, seed=1), "synthetic": make_counts(200, seed=2), "train": make_counts(240)}
    for adata in made.values():
        adata.obs["cell_type"] = adata.obs["cell_type"].cat.rename_categories({"NK": HOSTILE})
    made["synthetic"].uns["activa"] = {"seed": np.int64(3), "settings": {"n_latent": 5}, "name": HOSTILE}
    return made


@pytest.fixture(scope="package")
def made(sets, tmp_path_factory):
    """A report, and the table that came with it."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    table = activa.report(
        sets["real"], sets["synthetic"], path, labels_key="cell_type", train=sets["train"], name=f"my {HOSTILE}"
    )
    return path, table


@pytest.fixture(scope="package")
def several(sets, tmp_path_factory):
    """A report on three generators, and the table that came with it."""
    path = tmp_path_factory.mktemp("several") / "report.html"
    shuffled = sets["real"][:120].copy()
    shuffled.X = csr_matrix(np.random.default_rng(0).permuted(shuffled.X.toarray(), axis=0))
    generators = {f"my {HOSTILE}": sets["synthetic"], "training cells": sets["train"], "shuffled": shuffled}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*types", category=UserWarning)
        return path, activa.report(sets["real"], generators, path, labels_key="cell_type", batch_key="batch")
