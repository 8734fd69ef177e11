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
        # many or long trainings
        "train/test_realism_callback.py",
        "train/test_training.py::test_every_form_of_the_game_trains",
        "train/test_training.py::test_the_generator_learns_to_please_the_critic",
        "train/test_training.py::test_training_fits_and_is_recorded",
        "model/test_surgery.py",
        "model/test_paper.py",
        # forests, neighbors and compilation by JAX
        "metrics/test_many_cells.py",
        "metrics/test_evaluate.py::test_all_metrics_of_a_perfect_generator",
        "metrics/test_evaluate.py::test_a_wrong_generator_is_caught",
        "metrics/test_evaluate.py::test_few_cells_silent_genes",
        "metrics/privacy/test_shadow.py",
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
