"""Cells whose truth is known: a fitted model, changed in ways that are written down beside the counts."""

from activa.simulate.contamination import ambient as ambient
from activa.simulate.contamination import doublets as doublets
from activa.simulate.donors import Donors as Donors
from activa.simulate.effects import Abundance as Abundance
from activa.simulate.effects import Depth as Depth
from activa.simulate.effects import Dispersion as Dispersion
from activa.simulate.effects import Expression as Expression
from activa.simulate.experiment import experiment as experiment
from activa.simulate.homogeneous import homogeneous as homogeneous
from activa.simulate.paths import path as path
from activa.simulate.trajectories import trajectory as trajectory
