"""Sharing a trained generator: the model card that goes with it on Hugging Face."""

from ._model_card import model_card

__all__ = ["model_card"]
