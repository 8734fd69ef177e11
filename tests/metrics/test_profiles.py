"""Facts of cells: loops, scanpy's quality control, and TMM factors of edgeR's algorithm as rnanorm computes them."""

import numpy as np
import pytest
import scanpy as sc
from anndata import AnnData
from scipy.sparse import csr_matrix
from scipy.stats import rankdata

from activa.metrics.profiles import cell_profiles, effective_library_size

NAMES = ["MT-A", "mt-b", "MT-C", "RPS1", "Rpl2", "RPL3", *(f"G{i}" for i in range(54))]
RATE = np.geomspace(0.02, 8, 60)[np.random.default_rng(7).permutation(60)]


def counts(seed=0, n_cells=50, depth=1.0):
    rng = np.random.default_rng(seed)
    x = rng.poisson(depth * rng.lognormal(0, 0.4, (n_cells, 1)) * RATE)
    x[3] = 0
    return x


def test_profiles_agree_with_a_loop_over_cells():
    x = counts()
    profiles = cell_profiles(csr_matrix(x), NAMES)
    for cell, row in enumerate(x.astype(int).tolist()):
        total, found = sum(row), [n for n in row if n]
        expected = {
            "log_counts": np.log(1 + total),
            "genes": np.log(1 + len(found)),
            "largest_share": max(row) / max(total, 1),
            "ones_share": found.count(1) / max(len(found), 1),
            "concentration": sum((n / max(total, 1)) ** 2 for n in row),
            "mitochondrial_share": sum(row[:3]) / max(total, 1),
            "ribosomal_share": sum(row[3:6]) / max(total, 1),
        }
        assert profiles.loc[cell].to_dict() == pytest.approx(expected)


def test_profiles_agree_with_scanpy():
    adata = AnnData(csr_matrix(np.delete(counts(), 3, axis=0), dtype=np.float32))
    adata.var_names = NAMES
    adata.var["mt"] = adata.var_names.str.upper().str.startswith("MT-")
    sc.pp.calculate_qc_metrics(adata, qc_vars=["mt"], percent_top=(1,), inplace=True)
    profiles = cell_profiles(adata.X, adata.var_names)
    np.testing.assert_allclose(profiles["log_counts"], adata.obs["log1p_total_counts"], rtol=1e-6)
    np.testing.assert_allclose(profiles["genes"], adata.obs["log1p_n_genes_by_counts"], rtol=1e-6)
    np.testing.assert_allclose(100 * profiles["mitochondrial_share"], adata.obs["pct_counts_mt"], rtol=1e-5)
    np.testing.assert_allclose(100 * profiles["largest_share"], adata.obs["pct_counts_in_top_1_genes"], rtol=1e-5)


def test_empty_cells_are_zeros_and_no_cells_are_no_rows():
    assert (cell_profiles(counts(), NAMES).loc[3] == 0).all()
    assert cell_profiles(counts()[:0], NAMES).shape == (0, 7)


@pytest.mark.parametrize("names", [None, ["MT-A", "mt-b", *(f"G{i}" for i in range(58))], ["Mt-A", "rps"] * 30])
def test_families_need_names_of_three_genes(names):
    assert list(cell_profiles(counts(), names)) == [
        "log_counts", "genes", "largest_share", "ones_share", "concentration"
    ]  # fmt: skip


def test_names_must_be_one_per_gene():
    with pytest.raises(ValueError, match=r"one name per gene \(60\), got 59"):
        cell_profiles(counts(), NAMES[1:])


def test_the_order_of_genes_stored_zeros_and_the_input_are_left_alone():
    x = csr_matrix(counts(), dtype=np.float32)
    x.data[:5] = 0
    before = x.copy()
    order = np.random.default_rng(1).permutation(60)
    profiles, sizes = cell_profiles(x, NAMES), effective_library_size(x)
    shuffled = x.toarray()[:, order]
    np.testing.assert_allclose(cell_profiles(shuffled, [NAMES[i] for i in order]), profiles)
    np.testing.assert_allclose(effective_library_size(shuffled), sizes)
    assert all(np.array_equal(getattr(x, part), getattr(before, part)) for part in ("data", "indices", "indptr"))


def tmm_by_hand(x):
    """A loop over cells and genes, written from the paper and edgeR's documentation."""
    x = x.astype(float)
    reference = x[np.sqrt(x).sum(axis=1).argmax()]
    logs = []
    for cell in x:
        both = (cell > 0) & (reference > 0)
        y, r = cell[both] / cell.sum(), reference[both] / reference.sum()
        m, a = np.log2(y / r), np.log2(y * r) / 2
        w = 1 / ((1 - y) / cell[both] + (1 - r) / reference[both])
        n = both.sum()
        keep = np.ones(n, dtype=bool)
        for values, share in ((m, 0.3), (a, 0.05)):
            low = int(n * share) + 1
            keep &= (rankdata(values) >= low) & (rankdata(values) <= n + 1 - low)
        logs.append((m * w)[keep].sum() / w[keep].sum() if keep.any() else 0)
    return x.sum(axis=1) * 2 ** (np.array(logs) - np.mean(logs))


@pytest.mark.parametrize("depth", [0.1, 1, 30])
def test_effective_sizes_agree_with_a_loop(depth):
    x = np.delete(counts(depth=depth), 3, axis=0)
    np.testing.assert_allclose(effective_library_size(csr_matrix(x)), tmm_by_hand(x))


def test_effective_sizes_are_those_of_rnanorm():
    cell, gene = np.ogrid[:6, :40]
    x = ((cell + 2) * (gene + 3) ** 2 % 23 - 14).clip(0) * np.array([[1], [2], [3], [1], [5], [2]])
    x[5, :4] += 90
    # rnanorm 2.2.0, TMM()._get_norm_factors over its geometric mean, with the last cell as ref_. Four cells detect less
    # than a quarter of the genes, so that edgeR takes this reference too.
    factors = [1.6482552292750612, 0.9386874786444143, 3.003799931662125]
    factors += [0.33052531973985466, 2.1455713797586604, 0.30341413451132576]
    np.testing.assert_allclose(effective_library_size(x), x.sum(axis=1) * factors)


def test_effective_sizes_grow_with_depth_and_see_through_one_dominant_gene():
    x = np.delete(counts(depth=30), 3, axis=0)
    np.testing.assert_allclose(effective_library_size(3 * x), 3 * effective_library_size(x))
    loud = x.copy()
    loud[::2, 0] += x[::2].sum(axis=1)
    ratio = [(sizes[::2].mean() / sizes[1::2].mean()) for sizes in map(effective_library_size, (x, loud))]
    assert ratio[1] == pytest.approx(ratio[0], rel=0.02)


def test_an_empty_cell_has_no_size_and_moves_no_other():
    x = counts()
    sizes = effective_library_size(x)
    assert sizes[3] == 0
    np.testing.assert_allclose(np.delete(sizes, 3), effective_library_size(np.delete(x, 3, axis=0)))
    assert effective_library_size(x * 0).tolist() == [0] * len(x)
    assert effective_library_size(x[:0]).tolist() == []


def test_cells_that_share_no_gene_with_the_reference_or_have_one_gene_keep_their_size():
    assert effective_library_size(np.array([[9, 9, 0], [0, 0, 5]])).tolist() == pytest.approx([18, 5])
    assert effective_library_size(np.array([[4, 0], [4, 0]])).tolist() == pytest.approx([4, 4])
