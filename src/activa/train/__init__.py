"""The introspective training plan and what runs it."""

from ._plan import Introspection, IntrospectivePlan, NonFiniteLossError
from ._runner import InterruptibleTrainRunner, KeepResumePoint

__all__ = ["InterruptibleTrainRunner", "Introspection", "IntrospectivePlan", "KeepResumePoint", "NonFiniteLossError"]
