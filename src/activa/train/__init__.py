"""The training plan, its games between encoder and generator, and the runner."""

from activa.train.game import Game, Hinge, Reading, Soft, SyntheticCells
from activa.train.guard import ExplodedLossError, Guard, NonFiniteLossError
from activa.train.plan import IntrospectivePlan
from activa.train.realism import RealismCallback, RealismMetric
from activa.train.recipe import PAPER_EPOCHS, PAPER_RECIPE, LRSchedule, Recipe
from activa.train.runner import InterruptibleTrainRunner, KeepResumePoint
from activa.train.softadapt import SoftAdapt, softadapt_weights

__all__ = [
    "PAPER_EPOCHS",
    "PAPER_RECIPE",
    "ExplodedLossError",
    "Game",
    "Guard",
    "Hinge",
    "InterruptibleTrainRunner",
    "IntrospectivePlan",
    "KeepResumePoint",
    "LRSchedule",
    "NonFiniteLossError",
    "Reading",
    "RealismCallback",
    "RealismMetric",
    "Recipe",
    "Soft",
    "SoftAdapt",
    "SyntheticCells",
    "softadapt_weights",
]
