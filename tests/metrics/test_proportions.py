import numpy as np
from scipy.sparse import csr_matrix

from activa.data import Cells
from activa.metrics.proportions import proportion_notes


def cells(**numbers):
    labels = np.repeat(list(numbers), list(numbers.values()))
    return Cells(csr_matrix((len(labels), 1)), None, labels)


def test_even_proportions_and_chance_are_not_told():
    assert proportion_notes(cells(B=50, T=50), cells(B=500, T=500)) == []
    assert proportion_notes(cells(B=50, T=50), cells(B=45, T=55)) == []  # 5%, but of 100 cells


def test_other_proportions_are_told_with_the_type_that_differs_most():
    (note,) = proportion_notes(cells(B=500, T=400, NK=100), cells(B=400, T=390, NK=210))
    assert "NK: 10.0% of the real and 21.0% of the synthetic cells" in note


def test_types_of_one_set_only_are_told():
    notes = proportion_notes(cells(B=50, T=50, DC=1), cells(B=50, T=50, X=1))
    assert notes == [
        "Types of real cells without synthetic cells: DC.",
        "Types of synthetic cells without real cells: X.",
    ]
    assert "name types alike" in proportion_notes(cells(B=9), cells(XB=9))[0]


def test_cells_without_labels_have_none():
    assert proportion_notes(Cells(csr_matrix((3, 1)), None, None), cells(B=3)) == []
