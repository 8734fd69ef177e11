"""Memory of training and generating, above that of the imports."""

import sys

import pytest
from faults.memory import MOST_MIB, peaks


@pytest.mark.skipif(sys.platform != "linux", reason="getrusage counts in other units")
def test_twenty_thousand_cells():
    assert peaks(20_000, 2_000)["generating"] < MOST_MIB
