import pytest
import torch

from activa.train import ExplodedLossError, Guard, NonFiniteLossError


@pytest.fixture
def linear():
    return torch.nn.Linear(2, 1)


def change(linear) -> list[torch.Tensor]:
    with torch.no_grad():
        linear.weight.add_(1.0)
    return [p.detach().clone() for p in linear.parameters()]


def assert_equal(linear, weights):
    assert all(torch.equal(p, w) for p, w in zip(linear.parameters(), weights, strict=True))


def test_the_weights_of_the_last_sound_epoch_are_put_back(linear):
    guard = Guard(linear, n_genes=10)
    guard.begin_epoch(0, [])
    guard.check_first_minibatch(100.0)
    sound = change(linear)
    guard.begin_epoch(1, [90.0])
    guard.check_first_minibatch(80.0)
    change(linear)
    guard.begin_epoch(2, [90.0, 70.0])
    guard.check_first_minibatch(151.0)  # above 70 + 70 + 10
    guard.check_finite(torch.tensor(1.0))
    with pytest.raises(NonFiniteLossError, match="nan in epoch 3.*those after epoch 1"):
        guard.check_finite(torch.tensor(float("nan")))
    assert_equal(linear, sound)


@pytest.mark.parametrize("best, bound", [(100.0, 210.0), (-100.0, 10.0)])
def test_an_explosion_is_more_than_the_best_and_a_nat_per_gene(linear, best, bound):
    guard = Guard(linear, n_genes=10)
    guard.begin_epoch(0, [best, best + 5])
    guard.check_epoch(bound)
    with pytest.raises(ExplodedLossError, match="what they were before training"):
        guard.check_epoch(bound + 1)


def test_a_reconstruction_that_is_not_trained_may_rise(linear):
    guard = Guard(linear, n_genes=10, trains_reconstruction=False)
    guard.begin_epoch(0, [1.0])
    guard.check_epoch(1e9)


def test_the_error_names_what_is_poisoned(linear):
    guard = Guard(linear, n_genes=10)
    guard.begin_epoch(0, [])
    guard.minibatch = {"X": torch.tensor([1.0, torch.inf]), "labels": torch.zeros(2)}
    with pytest.raises(NonFiniteLossError, match=r"\['X'\]"):
        guard.check_finite(torch.tensor(torch.inf))


def test_weights_that_are_not_finite_are_not_left(linear):
    guard = Guard(linear, n_genes=10)
    guard.begin_epoch(0, [])
    sound = [p.detach().clone() for p in linear.parameters()]
    with torch.no_grad():
        linear.bias.fill_(torch.nan)
    guard.leave_finite_weights()
    assert_equal(linear, sound)
    moved = change(linear)
    guard.leave_finite_weights()
    assert_equal(linear, moved)
