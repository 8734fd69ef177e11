"""AnnData as people have them: each works, or is refused by a clear error, and is left as it was."""

import logging

import pytest
from faults.input_cells import cases, possible
from faults.input_runs import run
from hypothesis import HealthCheck, assume, given, settings

# that cases that cannot be are drawn and left is no fault of the strategy
QUIETLY = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.function_scoped_fixture]


@pytest.fixture(autouse=True)
def _no_notes(caplog):
    caplog.set_level(logging.ERROR, logger="lightning.pytorch")


@settings(max_examples=60, derandomize=True, deadline=None, database=None, suppress_health_check=QUIETLY)
@given(case=cases())
def test_cells_as_people_have_them(case):
    assume(possible(case))
    result = run(case)
    assert result.kind != "lost", f"{case}: {result.message}"
