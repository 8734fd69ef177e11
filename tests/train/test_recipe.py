import json

import numpy as np
import pytest

from activa.train import PAPER_EPOCHS, PAPER_RECIPE, Hinge, Recipe, Soft


def test_the_papers_recipe_is_supplement_hs():
    assert PAPER_EPOCHS == 610
    expected = {
        "game": {
            "hinge": {"margin": 110, "alphas": [1, 0.5], "per_cell": False, "balance": None, "n_epochs_warmup": 10}
        },
        "lr": 2e-4,
        "lr_schedule": "constant",
        "lr_classifier": 1e-4,
        "n_epochs_kl_warmup": 0,
        "n_steps_kl_warmup": None,
        "min_kl_weight": 0.0,
        "max_kl_weight": 1.0,
        "weight_decay": 0.0,
        "gradient_clip": None,
    }
    assert PAPER_RECIPE.to_dict() == expected


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(),
        PAPER_RECIPE,
        Recipe(
            game=Soft(np.float32(0.5), n_epochs_warmup=np.int64(3)), lr=np.float64(0.1), n_epochs_kl_warmup=np.uint8(2)
        ),
        Recipe(game=Hinge(alphas=[1, 0], per_cell=np.True_, balance="normalized")),
    ],
)
def test_a_recipe_survives_json(recipe):
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


def test_fields_that_are_not_given_are_the_defaults():
    assert Recipe.of() == Recipe()
    recipe = Recipe.of({"lr": 0.1}, defaults=PAPER_RECIPE)
    assert recipe.lr == 0.1 and recipe.game == PAPER_RECIPE.game and recipe.lr_schedule == "constant"
    assert Recipe.of(None, Soft(), defaults=PAPER_RECIPE).game == Soft()


@pytest.mark.parametrize(
    "values, error, match",
    [
        ({"typo": 1}, TypeError, "'typo'.*gradient_clip"),
        ({"game": Hinge()}, TypeError, "game="),
        ({"lr": -1.0}, ValueError, "lr must be above 0, got -1.0"),
        ({"lr": "fast"}, TypeError, "lr"),
        ({"lr_schedule": "none"}, ValueError, "lr_schedule"),
        ({"gradient_clip": 0}, ValueError, "gradient_clip"),
        ({"n_epochs_kl_warmup": 1.5}, TypeError, "n_epochs_kl_warmup"),
        ([1], TypeError, "plan_kwargs"),
    ],
)
def test_wrong_fields(values, error, match):
    with pytest.raises(error, match=match):
        Recipe.of(values)


@pytest.mark.parametrize(
    "values, error, match",
    [
        ([1], TypeError, "recipe"),
        ({"self_destruct": 1}, TypeError, "self_destruct"),
        ({"game": "hinge"}, ValueError, "game"),
        ({"game": {"chess": {}}}, ValueError, "game"),
        ({"game": {"soft": {"margin": 1}}}, TypeError, "soft"),
        ({"game": {"soft": {"weight": [1]}}}, TypeError, "weight"),
    ],
)
def test_wrong_plain_values(values, error, match):
    with pytest.raises(error, match=match):
        Recipe.from_dict(values)


def test_a_game_is_a_game():
    with pytest.raises(TypeError, match="game must be a game"):
        Recipe(game="hinge")
