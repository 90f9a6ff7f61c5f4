"""Linear least squares: QR factors of rows in chunks, dense or sparse, and their solutions."""

from kanpinn.linalg.triangle import DampedSteps as DampedSteps
from kanpinn.linalg.triangle import TriangularFactor as TriangularFactor
from kanpinn.linalg.triangle import column_scale as column_scale
from kanpinn.linalg.triangle import rank_tolerance as rank_tolerance
from kanpinn.linalg.tsqr import fold as fold
