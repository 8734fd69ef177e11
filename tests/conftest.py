import anndata as ad
import pytest
from tests_helpers import make_counts, make_model

from activa import ACTIVA

# Which tests have which marker: parts of their path and name, as in "model/test_export.py::TestDamage".
# `make test-fast` runs the tests without any of them.
MARKERS = {
    "faults": ("tests/faults/",),
    "browser": ("report/test_browser.py",),
    "slow": (
        # subprocesses and processes that train together
        "cli/test_cli.py::test_three_commands_in_a_shell",
        "train/test_ddp.py",
        "train/test_resuming.py",
        # benchmarks and whole experiments
        "test_benchmarks.py",
        "test_paper_benchmark.py",
        "test_scgan.py",
        "test_speed_benchmarks.py",
        "tests/experiments/",
        # whole reports
        "cli/test_cli.py::test_a_report_comes_with_the_table",
        "report/test_report.py",
    ),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for marker, parts in MARKERS.items():
            if any(part in item.nodeid for part in parts):
                item.add_marker(marker)


@pytest.fixture
def counts() -> ad.AnnData:
    return make_counts()


@pytest.fixture(scope="session")
def model() -> ACTIVA:
    """A trained model; tests must not change it."""
    return make_model(epochs=80, setup={"labels_key": "cell_type", "batch_key": "batch"})
