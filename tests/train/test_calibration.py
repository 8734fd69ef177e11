"""Calibration: generated cells are given the facts of the training cells, by the clumping alone."""

import pytest
import torch
from tests_helpers import make_counts, make_model

from activa.losses import energy_distance
from activa.module import Condition, cell_facts, sample_cells
from activa.train import calibrate


@pytest.fixture(scope="module")
def module():
    return make_model(make_counts(480, 60), epochs=3).module


def drawn(module, n_cells: int = 600, seed: int = 0) -> dict[str, torch.Tensor]:
    """Cells of the model as a minibatch."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n_cells)[:, None] % module.n_labels
    condition = Condition(y, torch.zeros_like(y))
    with torch.no_grad():
        z = module.sample_latent(condition, generator)
        x = sample_cells(module.decode(z, module.sample_log_library(z, condition, generator), condition), generator)
    return {"X": x, "labels": y, "batch": condition.batch_index}


def clumpings(module, of: torch.Tensor) -> torch.Tensor:
    """Logs of the clumping of 600 cells of the prior."""
    z = module.sample_latent(Condition(of, torch.zeros_like(of)), torch.Generator().manual_seed(3))
    return module.quality.log(z)[:, 0].detach()


@pytest.mark.parametrize("shift", [-1.5, 1.5])
def test_a_wrong_clumping_is_mended(module, shift):
    before = {name: value.clone() for name, value in module.state_dict().items()}
    module.quality.log.bias.data[0] = 0.0
    truth, cells = float(clumpings(module, drawn(module)["labels"]).mean()), drawn(module)
    facts = cell_facts(cells["X"])
    module.quality.log.bias.data[0] += shift
    wrong = energy_distance(cell_facts(drawn(module, seed=1)["X"]), facts)
    calibrate(module, [cells], seed=0)
    # the mean of 600 logs, in part its spread's, is known to about a fifth of the shift
    assert abs(float(clumpings(module, cells["labels"]).mean()) - truth) < 0.5
    assert energy_distance(cell_facts(drawn(module, seed=1)["X"]), facts) < 0.2 * wrong
    changed = {name for name, value in module.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"quality.log.weight", "quality.log.bias"}
    assert torch.equal(module.quality.log.weight[1:], before["quality.log.weight"][1:])
    module.load_state_dict(before)


def test_a_seed_gives_the_same_weights_and_leaves_the_global_state(module):
    before = {name: value.clone() for name, value in module.state_dict().items()}
    cells, found = drawn(module), []
    for seed in (0, 0, 1):
        module.load_state_dict(before)
        state = torch.get_rng_state()
        calibrate(module, [cells], seed=seed)
        assert torch.equal(torch.get_rng_state(), state)
        found.append(module.quality.log.bias.clone())
    module.load_state_dict(before)
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


def test_few_cells_change_nothing(module):
    before = module.quality.log.bias.clone()
    calibrate(module, [drawn(module, 99)], seed=0)
    assert torch.equal(module.quality.log.bias, before)
