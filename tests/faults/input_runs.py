"""One case from the AnnData to generated cells, compared with how it must end."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import anndata as ad
import numpy as np
import pandas as pd
from faults.input_cells import Case, build, expected, setup_of
from faults.input_outcomes import changes, outcome, snapshot
from scipy import sparse
from tests_helpers import QUIET

from activa import ACTIVA
from activa.settings import COUNT_LIKELIHOODS

N = 5


class Result(NamedTuple):
    """How a case ended."""

    kind: str
    """``"works"``, the refusal's type, or ``"lost"``."""
    message: str


def run(case: Case) -> Result:
    """Register, train for an epoch, generate, augment and predict; lost if it does not end as it must."""
    with tempfile.TemporaryDirectory() as folder:
        adata = build(case, Path(folder))
        before = snapshot(adata)
        kind, message = outcome(lambda: _use(case, adata, Path(folder)))
        changed = changes(before, adata)
        if adata.isbacked:
            adata.file.close()
    if changed:
        return Result("lost", f"changes {changed}")
    due = expected(case)
    if kind == "lost" or due is None:
        return Result(kind, message) if kind in ("works", "lost") else Result("lost", f"{kind}: {message}")
    error, name = due
    if kind != error.__name__:
        return Result("lost", f"{kind} where {error.__name__} is due: {message}")
    return Result(kind, message) if name in message else Result("lost", f"does not name {name}: {message}")


def _use(case: Case, adata: ad.AnnData, folder: Path) -> None:
    ACTIVA.setup_anndata(adata, **setup_of(case))
    model = ACTIVA(adata, n_hidden=8, n_latent=3, gene_likelihood=case.gene_likelihood)
    model.train(max_epochs=1, **QUIET)
    _check(case, adata, model, model.generate(N, seed=0))
    asked = {name: 2 for name, size in zip(model.types, model.design.type_sizes, strict=True) if size}
    asked = dict(list(asked.items())[-3:])
    some = model.generate(labels=asked, seed=0)
    _check(case, adata, model, some)
    if case.labels != "none":
        key = setup_of(case)["labels_key"]
        assert {name: n for name, n in some.obs[key].value_counts().items() if n} == asked
    if case.column != "origin" or case.labels == "none":
        more = model.augment(3, seed=0)
        assert more.n_obs == adata.n_obs + 3 and list(more.var_names) == list(adata.var_names)
        assert list(more.obs_names[: adata.n_obs]) == list(adata.obs_names)
        real = adata.X if case.place == "X" else adata.layers["counts"]
        np.testing.assert_array_equal(_dense(more.X)[: adata.n_obs], _dense(real).astype(np.float32))
    types = model.predict()
    assert types.shape == (adata.n_obs,) and set(types) <= set(model.types)
    if case.column != "cell type/of":
        some.write_h5ad(folder / "some.h5ad")
        assert list(ad.read_h5ad(folder / "some.h5ad").obs_names) == list(some.obs_names)


def _check(case: Case, adata: ad.AnnData, model: ACTIVA, cells: ad.AnnData) -> None:
    """Check what all generated cells have in common."""
    x: Any = cells.X
    assert sparse.issparse(x) and x.format == "csr" and x.dtype == np.float32 and x.has_canonical_format
    assert np.isfinite(x.data).all() and (x.data >= 0).all()
    if case.gene_likelihood in COUNT_LIKELIHOODS:
        assert (x.data == np.round(x.data)).all()
    pd.testing.assert_frame_equal(cells.var, adata.var)
    assert cells.obs_names.is_unique
    setup = setup_of(case)
    for key in ("labels_key", "batch_key"):
        if (column := setup.get(key)) is not None:
            made, real = cells.obs[column], adata.obs[column]
            assert isinstance(made.dtype, pd.CategoricalDtype) and not made.isna().any()
            assert set(made) <= set(real) - {setup.get("unlabeled_category")}
    for column in setup.get("categorical_covariate_keys", []) + setup.get("continuous_covariate_keys", []):
        assert not cells.obs[column].isna().any()
    if case.place != "X":
        assert (cells.layers["counts"] != x).nnz == 0


def _dense(x: Any) -> np.ndarray:
    if hasattr(x, "compute"):
        x = x.compute()
    if hasattr(x, "to_memory"):
        x = x.to_memory()
    return x.toarray() if sparse.issparse(x) else np.asarray(x[:])
