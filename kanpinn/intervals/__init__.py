"""What data tell of unknowns: 95% intervals from the Gauss–Newton Hessian at a solution."""

from kanpinn.intervals.band import Band, Spread
from kanpinn.intervals.covariance import Covariance
from kanpinn.intervals.estimated import Estimated
from kanpinn.intervals.noise import Noise

__all__ = ["Band", "Covariance", "Estimated", "Noise", "Spread"]
