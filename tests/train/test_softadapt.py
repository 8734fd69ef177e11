import numpy as np
import pytest
import torch
from tests_helpers import make_model

from activa.train import softadapt_weights


@pytest.mark.parametrize("variant", ["original", "normalized", "loss-weighted", "none"])
def test_weights_are_the_papers(variant):
    """Against the equations in NumPy, for three parts at four times."""
    recent = np.array([[5.0, 2.0, 1.0], [4.0, 2.5, 1.0], [3.5, 2.0, 1.2], [2.0, 2.6, 1.1]])
    beta, s, f = 0.7, (recent[-1] - recent[0]) / 3, recent.mean(axis=0)
    if variant == "normalized":
        s = s / np.abs(s).sum()
    expected = {"none": np.ones(3), "loss-weighted": f * np.exp(beta * s)}.get(variant, np.exp(beta * s))
    found = softadapt_weights(torch.tensor(recent), variant=variant, beta=beta)
    np.testing.assert_allclose(found, expected / expected.sum(), rtol=1e-6)


def test_weights_of_large_losses_are_finite():
    found = softadapt_weights(torch.tensor([[1e6, 10.0], [1e5, 9.0]]))
    torch.testing.assert_close(found, torch.tensor([0.0, 1.0]))


def test_one_time_is_not_enough():
    with pytest.raises(ValueError, match="two times"):
        softadapt_weights(torch.ones(1, 2))


@pytest.mark.parametrize("introspection", ["none", "hinge"])
def test_the_alphas_follow_the_losses(introspection):
    plan_kwargs = {"softadapt": "normalized", "introspection": introspection, "alpha_2": 0.5}
    model = make_model(epochs=4, plan_kwargs=plan_kwargs)
    plan = model.trainer.lightning_module
    # the fourth epoch's weights come of the first three
    names = ["kl_local_train", "reconstruction_loss_train"]
    recent = torch.tensor([[float(model.history[name].iloc[i, 0]) for name in names] for i in range(3)])
    weights = softadapt_weights(recent, variant="normalized")
    assert (plan.alpha_1, plan.alpha_2) == pytest.approx((2 * float(weights[0]), float(weights[1])), rel=1e-3)
    assert plan.alpha_1 != 1.0
