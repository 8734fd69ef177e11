"""The report: one page that tells how real synthetic cells are."""

from activa.reporting.html_report import report

__all__ = ["report"]
