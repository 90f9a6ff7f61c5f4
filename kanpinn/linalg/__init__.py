"""Least squares: rows folded into a triangular factor, its rank, sparse factors front by front."""

from kanpinn.linalg.triangle import DampedSteps as DampedSteps
from kanpinn.linalg.triangle import Triangle as Triangle
from kanpinn.linalg.triangle import column_scale as column_scale
from kanpinn.linalg.triangle import fold as fold
from kanpinn.linalg.triangle import rank_tolerance as rank_tolerance
