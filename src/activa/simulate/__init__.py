"""Cells whose truth is known: a fitted model changed in a way that is written down beside the counts."""

from activa.simulate.contamination import ambient, doublets

__all__ = ["ambient", "doublets"]
