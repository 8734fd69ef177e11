import random
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tests_helpers import make_counts

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def benchmark_module(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return import_module


@pytest.fixture
def scgan(benchmark_module):
    return benchmark_module("_scgan")


def trained(scgan, *, steps=2, **kwargs):
    gan = scgan.ScGAN(make_counts(), **kwargs)
    gan.train(max_steps=steps)
    return gan


def test_cells_are_non_negative_and_sum_to_20000(scgan):
    made = trained(scgan).generate(n=1500)
    assert made.shape == (1500, 40) and list(made.obs) == []
    assert (made.X.data >= 0).all()
    assert np.asarray(made.X.sum(axis=1)).ravel() == pytest.approx(20_000, rel=1e-5)


def test_cells_have_the_labels_asked_for_in_their_order(scgan):
    gan = trained(scgan, labels_key="cell_type")
    labels = ["T", "B", "T", "NK"]
    assert gan.generate(labels=labels).obs["cell_type"].tolist() == labels
    with pytest.raises(KeyError):
        gan.generate(labels=["none such"])
    with pytest.raises(ValueError, match="labels"):
        gan.generate(n=3)
    with pytest.raises(ValueError, match="labels"):
        trained(scgan, steps=0).generate(labels=labels)


@pytest.mark.parametrize("labels_key", [None, "cell_type"])
def test_a_seed_gives_the_same_cells_and_leaves_the_global_random_state(scgan, labels_key):
    asked = {"n": 20} if labels_key is None else {"labels": ["T", "B"] * 10}
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    first, again, other = (
        trained(scgan, labels_key=labels_key, seed=seed).generate(**asked, seed=3).X.toarray() for seed in (1, 1, 2)
    )
    assert states == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())
    assert first.tobytes() == again.tobytes() != other.tobytes()


def test_training_in_two_goes_is_training_in_one(scgan):
    once, twice = trained(scgan, steps=3), trained(scgan, steps=1)
    twice.generate(n=10)  # looking at it on the way changes nothing
    twice.train(max_steps=2)
    assert once.critic_losses == twice.critic_losses
    assert (once.generate(n=5).X != twice.generate(n=5).X).nnz == 0


def test_training_ends_with_the_time(scgan):
    gan = scgan.ScGAN(make_counts())
    gan.train(seconds=0)
    assert gan.critic_losses == []
    gan.train(seconds=1e-9)
    assert len(gan.critic_losses) <= 1


def test_real_cells_are_filtered_and_scaled(scgan):
    adata = make_counts()
    counts = adata.X.toarray()
    counts[0, 9:] = 0  # nine genes at most
    counts[:, 5] = 0
    counts[[1, 2], 5] = 7  # in two cells
    adata.X = type(adata.X)(counts)
    gan = scgan.ScGAN(adata)
    kept = counts[1:][:, np.arange(40) != 5]
    np.testing.assert_allclose(gan._cells.toarray(), kept * (20_000 / kept.sum(axis=1, keepdims=True)), rtol=1e-5)
    made = gan.generate(n=4).X.toarray()
    assert (made[:, 5] == 0).all() and (made[:, 4] > 0).any()


def test_the_gradient_penalty_of_a_linear_critic_is_that_of_its_weights(scgan):
    x, weights = torch.randn(8, 5), torch.tensor([3.0, 0.0, 4.0, 0.0, 0.0])
    penalty = scgan.gradient_penalty(lambda x, _: x @ weights + 1, x, torch.zeros(8, dtype=torch.long))
    assert penalty.item() == pytest.approx((5 - 1) ** 2)


def test_the_gradient_penalty_is_that_of_finite_differences(scgan):
    with scgan.seeded(0):
        critic = scgan.Critic(3, n_types=2).double()
        x, types = torch.randn(4, 3, dtype=torch.float64), torch.tensor([0, 1, 1, 0])
    step = 1e-6 * torch.eye(3, dtype=torch.float64)
    with torch.no_grad():
        slopes = torch.stack([(critic(x + h, types) - critic(x - h, types)) / 2e-6 for h in step], dim=1)
    expected = (slopes.square().sum(dim=1).sqrt() - 1).square().mean()
    penalty = scgan.gradient_penalty(critic, x, types)
    assert penalty.item() == pytest.approx(expected.item(), rel=1e-5)
    penalty.backward()
    assert critic.hidden[0].weight.grad.abs().sum() > 0  # it trains the critic


def test_batch_norm_uses_the_parameters_of_the_type_asked_for(scgan):
    norm, x = scgan.ConditionalBatchNorm(4, n_types=3), torch.randn(6, 4)
    with torch.no_grad():
        norm.scale.copy_(torch.tensor([[1.0], [2.0], [3.0]]).expand(3, 4))
        norm.offset.copy_(torch.tensor([[0.0], [10.0], [20.0]]).expand(3, 4))
        types = torch.tensor([0, 2, 1, 1, 2, 0])
        expected = (x - x.mean(dim=0)) / (x.var(dim=0, unbiased=False) + 1e-5).sqrt()
        expected = expected * (types[:, None] + 1) + 10 * types[:, None]
        torch.testing.assert_close(norm(x, types), expected)


def test_the_critic_scores_by_the_last_layer_of_the_type(scgan):
    critic, x = scgan.Critic(4, n_types=3), torch.randn(2, 4)
    with torch.no_grad():
        all_types = critic.head(critic.hidden(x))
        torch.testing.assert_close(critic(x, torch.tensor([2, 0])), torch.stack([all_types[0, 2], all_types[1, 0]]))


def test_the_critic_takes_five_steps_per_generator_step(scgan):
    gan = trained(scgan, steps=3)
    taken = [
        {int(state["step"]) for state in optimizer.state.values()}
        for optimizer in (gan.generator_optimizer, gan.critic_optimizer)
    ]
    assert taken == [{3}, {15}]
    assert len(gan.critic_losses) == 3


def test_training_brings_the_cells_nearer_to_the_data(scgan):
    adata = make_counts()

    def profile(counts):
        return np.asarray(counts.sum(axis=0)).ravel() / counts.sum()

    def distance(gan):
        """Share of the counts that other genes would have to have."""
        made = gan.generate(labels=adata.obs["cell_type"])
        return np.abs(profile(made.X) - profile(adata.X)).sum() / 2

    untrained, gan = (trained(scgan, steps=n, labels_key="cell_type") for n in (0, 25))
    assert distance(gan) < 0.6 * distance(untrained)


def test_checkpoints_end_with_the_cap_and_the_verdict_lies_between_them(benchmark_module):
    benchmark = benchmark_module("time_to_realism")
    assert benchmark.checkpoints(20) == [1, 2, 5, 10, 20]
    assert benchmark.checkpoints(0.5) == [0.5]
    rows = pd.DataFrame({"ratio": [1.0, 2.0, 5.04], "reached": [False, False, True]})
    assert benchmark.verdict(rows) == "2.00 to 5.04"
    assert benchmark.verdict(rows[:2]) == "at least 2.00"
    assert benchmark.verdict(rows[2:]) == "at most 5.04"


def test_the_time_benchmark_runs_and_does_nothing_twice(benchmark_module, monkeypatch, tmp_path):
    make_counts(200).write_h5ad(tmp_path / "made.h5ad")
    out = tmp_path / "results"
    arguments = ["--data", str(tmp_path / "made.h5ad"), "--out", str(out), "--cap", "2", "--max-epochs", "2"]
    monkeypatch.setattr("sys.argv", ["time_to_realism.py", *arguments])
    benchmark = benchmark_module("time_to_realism")
    benchmark.main()
    rows = (out / "time_to_realism.jsonl").read_text()
    table = pd.read_json(out / "time_to_realism.jsonl", lines=True)
    assert table["method"].unique().tolist() == ["real cells (floor)", "ACTIVA", "scGAN", "cscGAN"]
    assert table["rf_auc"].between(0, 1).all() and table["wasserstein"].gt(0).all()
    gans = table[table["method"].str.endswith("GAN")]
    np.testing.assert_allclose(gans["ratio"], gans["seconds"] / table.loc[1, "seconds"])
    assert "scGAN / ACTIVA" in (out / "time_to_realism.md").read_text()
    benchmark.main()
    assert (out / "time_to_realism.jsonl").read_text() == rows
