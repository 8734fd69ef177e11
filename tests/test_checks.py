import numpy as np
import pytest
from scipy.sparse import csr_matrix
from tests_helpers import make_counts

from activa.checks import check_genes, check_proteins, check_values, positions, row_slices


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
