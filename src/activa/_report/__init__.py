"""The report: what a set of synthetic cells is worth, as a page to read and to give away."""

from ._report import report

__all__ = ["report"]
