"""The introspective training plan and what runs it."""

from ._game import Introspection, NonFiniteLossError
from ._plan import IntrospectivePlan
from ._realism_callback import RealismCallback, RealismMetric
from ._runner import InterruptibleTrainRunner, KeepResumePoint
from ._softadapt import SoftAdapt, softadapt_weights

__all__ = [
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
