"""Figures without ticks: those of logarithmic axes take most of the time of a figure.

Ticks are matplotlib's own matter. Tests of how figures look ask for them by the fixture `ticks`.
"""

from matplotlib.axis import Axis

update_ticks = Axis._update_ticks
Axis._update_ticks = lambda axis: []
