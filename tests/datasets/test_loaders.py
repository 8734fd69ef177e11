"""The three loaders of the paper's data, on small generated files in the true formats, and the cells in scanpy."""

import gzip
import random
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from scipy import sparse

from activa import optional
from activa.datasets import brain_small, neurocovid, pbmc68k, pbmc68k_reduced
from activa.datasets.fetching import split

TAR = "fresh_68k_pbmc_donor_a_filtered_gene_bc_matrices.tar.gz"
LOADERS = {
    pbmc68k: {TAR, "68k_pbmc_barcodes_annotation.tsv"},
    brain_small: {"1M_neurons_neuron20k.h5"},
    neurocovid: {
        *(f"GSE163005_{name}.gz" for name in ("matrix.mtx", "features.tsv", "barcodes.tsv")),
        *(f"GSE163005_annotation_{name}.csv.gz" for name in ("cluster", "dx", "patients")),
    },
}
every_loader = pytest.mark.parametrize("load", LOADERS, ids=lambda load: load.__name__)


def n_test_of(adata: ad.AnnData) -> dict[str, int]:
    return adata.obs.loc[adata.obs["split"] == "test", "cell_type"].value_counts().to_dict()


@every_loader
def test_counts_are_those_of_the_files(load, server, cache: Path) -> None:
    made = server.made
    adata = load(filtered=False)
    assert set(server.asked) == LOADERS[load]
    assert len(server.asked) == len(LOADERS[load])
    first = 10 if load is neurocovid else 0  # ten cells have no type
    assert list(adata.obs_names) == list(made.cells[first:])
    assert isinstance(adata.X, sparse.csr_matrix)
    assert adata.X.dtype == np.float32
    assert adata.X.has_canonical_format
    np.testing.assert_array_equal(adata.X.toarray(), made.counts[first:])
    assert list(adata.var["gene_id"]) == list(made.gene_ids)
    assert list(adata.var_names) == ["G0", "G0-1", *made.symbols[2:]]
    assert "doi" in adata.uns["source"] or load is brain_small
    assert all(isinstance(dtype, pd.CategoricalDtype) for dtype in adata.obs.dtypes)


@pytest.mark.parametrize("load", [pbmc68k, neurocovid])
def test_types_are_joined_by_barcode(load, server, cache: Path) -> None:
    adata = load(filtered=False)
    assert list(adata.obs["cell_type"]) == list(server.made.types[-adata.n_obs :])


def test_neurocovid_has_the_diagnosis_and_the_patient(server, cache: Path) -> None:
    adata = neurocovid(filtered=False)
    cell = np.arange(10, 10 + adata.n_obs)
    assert list(adata.obs["diagnosis"]) == list(np.where(cell % 2, "MS", "COVID"))
    assert list(adata.obs["patient"]) == [str(i) for i in cell % 5]


@every_loader
def test_the_papers_filters(load, server, cache: Path) -> None:
    adata = load()
    # a gene in two cells, one in none, and three cells with five genes
    assert set(server.made.gene_ids) - set(adata.var["gene_id"]) == {"ENS00150", "ENS00151"}
    assert np.diff(adata.X.indptr).min() >= 10
    unfiltered = load(filtered=False)
    assert adata.n_obs == unfiltered.n_obs - sum(np.diff(unfiltered.X.indptr) < 10) < unfiltered.n_obs


def test_the_test_cells_are_the_fraction_of_each_type_rounded_down(server, cache: Path) -> None:
    adata = pbmc68k(test_fraction=0.29)
    assert adata.obs["cell_type"].value_counts().to_dict() == {"A": 120, "B": 80, "C": 40}
    assert n_test_of(adata) == {"A": 34, "B": 23, "C": 11}
    assert list(adata.obs["split"].cat.categories) == ["train", "test"]
    assert n_test_of(pbmc68k(test_fraction=0.7)) == {"A": 84, "B": 56, "C": 28}
    assert n_test_of(pbmc68k()) == {"A": 12, "B": 8, "C": 4}
    assert n_test_of(pbmc68k(test_fraction=0)) == {"A": 0, "B": 0, "C": 0}


def test_the_fraction_is_not_lost_to_rounding() -> None:
    assert 0.29 * 100 < 29
    assert (split(np.repeat("A", 100), 0.29, 0) == "test").sum() == 29


@every_loader
def test_the_seed_determines_the_split(load, server, cache: Path) -> None:
    first, again, other = load(), load(seed=0), load(seed=1)
    pd.testing.assert_frame_equal(first.obs, again.obs)
    assert list(first.obs["split"]) != list(other.obs["split"])
    assert list(first.obs["cell_type"]) == list(other.obs["cell_type"])
    assert n_test_of(first) == n_test_of(other)
    assert list(load(seed=None).obs["split"]) != list(load(seed=None).obs["split"])


@every_loader
def test_the_global_random_state_is_left_alone(load, server, cache: Path) -> None:
    python_state, numpy_state = random.getstate(), np.random.get_state()[1].copy()
    load()
    assert random.getstate() == python_state
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_state)


def test_brain_small_has_clusters_from_the_largest(server, cache: Path) -> None:
    adata = brain_small()
    types = pd.Series(server.made.types, index=server.made.cells)[adata.obs_names]
    table = pd.crosstab(types, adata.obs["cell_type"])
    assert list(table.columns) == ["0", "1", "2"]
    np.testing.assert_array_equal(table.to_numpy(), np.diag([120, 80, 40]))
    assert brain_small(resolution=3).obs["cell_type"].nunique() > 3


@every_loader
@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"test_fraction": 1.0}, ValueError),
        ({"test_fraction": -0.1}, ValueError),
        ({"test_fraction": float("nan")}, ValueError),
        ({"seed": -1}, ValueError),
        ({"seed": 0.5}, TypeError),
    ],
)
def test_bad_arguments_are_refused_before_a_download(load, arguments: dict, error: type, server, cache: Path) -> None:
    with pytest.raises(error, match=next(iter(arguments))):
        load(**arguments)
    assert server.asked == []
    assert not cache.exists()


@pytest.mark.parametrize("resolution", [0, float("nan")])
def test_a_bad_resolution_is_refused_before_a_download(resolution: float, server, cache: Path) -> None:
    with pytest.raises(ValueError, match="resolution"):
        brain_small(resolution=resolution)
    assert server.asked == []


def test_brain_small_needs_igraph_before_a_download(server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optional, "is_installed", lambda module: module != "igraph")
    with pytest.raises(ImportError, match="igraph"):
        brain_small()
    assert server.asked == []


@every_loader
def test_the_second_call_needs_no_connection(load, server, cache: Path, tmp_path: Path) -> None:
    first = load(tmp_path / "mine")
    server.asked.clear()
    second = load(tmp_path / "mine")
    assert server.asked == []
    assert not cache.exists()
    pd.testing.assert_frame_equal(first.obs, second.obs)
    assert (first.X != second.X).nnz == 0


@every_loader
@pytest.mark.parametrize("damage", ["half", "page"])
def test_damaged_files_are_named(load, damage: str, server, unchecked, cache: Path) -> None:
    cache.mkdir()
    name = max(LOADERS[load], key=lambda name: (server.folder / name).stat().st_size)
    content = (server.folder / name).read_bytes()
    (cache / name).write_bytes(content[: len(content) // 2] if damage == "half" else b"<html>Please log in</html>")
    with pytest.raises(RuntimeError, match="cannot be read") as caught:
        load()
    assert str(cache / name) in str(caught.value)


def test_values_that_are_not_counts_are_refused(server, cache: Path) -> None:
    normalized = np.log1p(server.made.counts)
    (server.folder / "GSE163005_matrix.mtx.gz").write_bytes(gzip.compress(server.made.mtx(normalized)))
    with pytest.raises(RuntimeError, match="not whole counts"):
        neurocovid()


def test_an_annotation_of_other_cells_is_refused(server, unchecked, cache: Path) -> None:
    path = server.folder / "68k_pbmc_barcodes_annotation.tsv"
    path.write_text(path.read_text().replace("CELL", "OTHER"))
    with pytest.raises(RuntimeError, match="names no cell"):
        pbmc68k()


@pytest.fixture(scope="module")
def adata() -> ad.AnnData:
    return pbmc68k_reduced()


@pytest.fixture
def bundled() -> ad.AnnData:
    return sc.datasets.pbmc68k_reduced()


def test_counts_are_whole_float32_csr(adata: ad.AnnData) -> None:
    assert isinstance(adata.X, sparse.csr_matrix)
    assert adata.X.dtype == np.float32
    assert adata.X.has_canonical_format
    assert adata.X.data.min() == 1
    np.testing.assert_array_equal(adata.X.data, np.rint(adata.X.data))


def test_normalizing_the_counts_gives_scanpys_values(adata: ad.AnnData, bundled: ad.AnnData) -> None:
    # n_counts is each cell's total over all its genes, which the counts were not recovered from
    library_size = bundled.obs["n_counts"].to_numpy(np.float64)[:, None]
    expected = np.log1p(adata.X.toarray() / library_size * 1e4)
    # scanpy's values are kept to three decimals
    np.testing.assert_allclose(bundled.raw.X.toarray(), expected, rtol=0, atol=6e-4)


def test_genes_and_cells_keep_scanpys_order(adata: ad.AnnData, bundled: ad.AnnData) -> None:
    assert adata.shape == (700, 765)
    assert list(adata.var_names) == list(bundled.raw.var_names)
    assert list(adata.obs_names) == list(bundled.obs_names)
    assert adata.var_names.is_unique
    assert adata.obs_names.is_unique


def test_cell_types_are_the_sorted_populations(adata: ad.AnnData, bundled: ad.AnnData) -> None:
    assert isinstance(adata.obs["cell_type"].dtype, pd.CategoricalDtype)
    assert adata.obs["cell_type"].astype(str).tolist() == bundled.obs["bulk_labels"].astype(str).tolist()
    assert adata.obs["cell_type"].value_counts().min() == 8
    # markers of two types, in cells of those types and elsewhere
    for gene, cell_type in {"CD79A": "CD19+ B", "NKG7": "CD56+ NK"}.items():
        expression = adata[:, gene].X.toarray().ravel()
        of_type = (adata.obs["cell_type"] == cell_type).to_numpy()
        assert expression[of_type].mean() > 3 * expression[~of_type].mean()


def test_each_call_gives_a_fresh_copy(adata: ad.AnnData) -> None:
    other = pbmc68k_reduced()
    other.X.data[:] = 0
    assert adata.X.data.min() == 1


def test_other_values_in_scanpys_copy_are_an_error(bundled: ad.AnnData, monkeypatch: pytest.MonkeyPatch) -> None:
    bundled.raw.X.data *= 0.9
    monkeypatch.setattr(sc.datasets, "pbmc68k_reduced", lambda: bundled)
    with pytest.raises(RuntimeError, match="cannot be recovered"):
        pbmc68k_reduced()
