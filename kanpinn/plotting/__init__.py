"""Figures of a solution: functions that draw into axes and return them, and the files of a run."""

from kanpinn.plotting.edges import plot_edge as plot_edge
from kanpinn.plotting.figures import draw_figures as draw_figures
from kanpinn.plotting.history import plot_history as plot_history
from kanpinn.plotting.panels import plot_lines as plot_lines
from kanpinn.plotting.panels import plot_magnitude as plot_magnitude
from kanpinn.plotting.panels import plot_values as plot_values
