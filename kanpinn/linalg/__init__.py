"""Linear least squares: QR factors of rows in chunks, dense or sparse, and their solutions."""

from kanpinn.linalg.qr import DampedSteps as DampedSteps
from kanpinn.linalg.qr import TriangularFactor as TriangularFactor
from kanpinn.linalg.qr import column_scale as column_scale
from kanpinn.linalg.qr import fold as fold
from kanpinn.linalg.qr import rank_tolerance as rank_tolerance
