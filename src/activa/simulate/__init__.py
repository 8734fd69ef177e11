"""Cells whose truth is known: a fitted model, changed in ways that are written down beside the counts."""

from activa.simulate.donors import Donors as Donors
from activa.simulate.effects import Abundance as Abundance
from activa.simulate.effects import Depth as Depth
from activa.simulate.effects import Dispersion as Dispersion
from activa.simulate.effects import Expression as Expression
from activa.simulate.experiment import experiment as experiment
