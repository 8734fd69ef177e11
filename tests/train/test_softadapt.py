import numpy as np
import pytest
import torch

from activa.train import softadapt_weights


@pytest.mark.parametrize("variant", ["original", "normalized", "loss-weighted"])
def test_weights_are_the_papers(variant):
    """Against the equations in NumPy, for three parts at four times."""
    recent = np.array([[5.0, 2.0, 1.0], [4.0, 2.5, 1.0], [3.5, 2.0, 1.2], [2.0, 2.6, 1.1]])
    beta, s, f = 0.7, (recent[-1] - recent[0]) / 3, recent.mean(axis=0)
    if variant == "normalized":
        s = s / np.abs(s).sum()
    expected = np.exp(beta * s) * (f if variant == "loss-weighted" else 1)
    found = softadapt_weights(torch.tensor(recent), variant=variant, beta=beta)
    np.testing.assert_allclose(found, expected / expected.sum(), rtol=1e-6)


def test_weights_of_large_losses_are_finite():
    found = softadapt_weights(torch.tensor([[1e6, 10.0], [1e5, 9.0]]))
    torch.testing.assert_close(found, torch.tensor([0.0, 1.0]))


def test_one_time_is_not_enough():
    with pytest.raises(ValueError, match="two times"):
        softadapt_weights(torch.ones(1, 2))
