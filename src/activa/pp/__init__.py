"""Preprocessing as the paper does it."""

from ._library import filter_low, scale_library

__all__ = ["filter_low", "scale_library"]
