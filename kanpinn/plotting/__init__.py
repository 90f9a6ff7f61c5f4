"""Figures of solutions, modes, fits, networks and studies, in axes, as figures, and as files."""

from kanpinn.plotting.convergence import ErrorCurve as ErrorCurve
from kanpinn.plotting.convergence import plot_curves as plot_curves
from kanpinn.plotting.convergence import plot_spreads as plot_spreads
from kanpinn.plotting.edges import plot_edge as plot_edge
from kanpinn.plotting.fields import plot_lines as plot_lines
from kanpinn.plotting.fields import plot_magnitude as plot_magnitude
from kanpinn.plotting.fields import plot_values as plot_values
from kanpinn.plotting.figures import draw_figures as draw_figures
from kanpinn.plotting.history import plot_history as plot_history
