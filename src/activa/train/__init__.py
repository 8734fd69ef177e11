"""The introspective training plan and what runs it."""

from ._checkpoints import KeepResumePoint
from ._errors import ExplodedLossError, NonFiniteLossError
from ._game import Introspection
from ._plan import IntrospectivePlan
from ._realism_callback import RealismCallback, RealismMetric
from ._runner import InterruptibleTrainRunner
from ._softadapt import SoftAdapt, softadapt_weights

__all__ = [
    "ExplodedLossError",
    "InterruptibleTrainRunner",
    "Introspection",
    "IntrospectivePlan",
    "KeepResumePoint",
    "NonFiniteLossError",
    "RealismCallback",
    "RealismMetric",
    "SoftAdapt",
    "softadapt_weights",
]
