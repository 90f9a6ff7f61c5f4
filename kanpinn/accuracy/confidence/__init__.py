"""What data tell of unknowns: 95% intervals from the Gauss–Newton Hessian at a solution."""

from kanpinn.accuracy.confidence.band import Band, Spread
from kanpinn.accuracy.confidence.covariance import Covariance
from kanpinn.accuracy.confidence.estimated import Estimated
from kanpinn.accuracy.confidence.noise import Noise

__all__ = ["Band", "Covariance", "Estimated", "Noise", "Spread"]
