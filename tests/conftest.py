from pathlib import Path

import anndata as ad
import pytest
from tests_helpers import make_counts, make_model

from activa import ACTIVA

# Which tests have which marker, by the beginnings of their paths; `make test-fast` runs those without any. Slow files take
# more than 15 s, train in other processes, or run whole benchmarks.
MARKERS = {
    "faults": ("tests/faults/",),
    "browser": ("tests/reporting/test_browser.py",),
    "slow": (
        "tests/citizen/test_mudata_habits.py",
        "tests/citizen/test_tuning.py",
        "tests/cli/",
        "tests/experiments/",
        "tests/metrics/privacy/test_shadow_models.py",
        "tests/metrics/test_evaluation.py",
        "tests/metrics/test_max_cells.py",
        "tests/model/test_criticism.py",
        "tests/model/test_queries.py",
        "tests/reporting/test_html_report.py",
        "tests/simulate/test_simulation_benchmarks.py",
        "tests/test_benchmarks.py",
        "tests/test_paper_benchmark.py",
        "tests/test_peers_benchmark.py",
        "tests/test_readme.py",
        "tests/test_scgan.py",
        "tests/test_speed_benchmarks.py",
        "tests/train/test_ddp.py",
        "tests/train/test_realism.py",
    ),
}
if missing := [path for paths in MARKERS.values() for path in paths if not (Path(__file__).parents[1] / path).exists()]:
    raise FileNotFoundError(f"MARKERS in {__file__} names {missing}, which do not exist: follow the renamed tests.")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for marker, paths in MARKERS.items():
            if item.nodeid.startswith(paths):
                item.add_marker(marker)


@pytest.fixture
def counts() -> ad.AnnData:
    return make_counts()


@pytest.fixture(scope="session")
def model() -> ACTIVA:
    """A trained model; tests must not change it."""
    return make_model(epochs=80, setup={"labels_key": "cell_type", "batch_key": "batch"})
