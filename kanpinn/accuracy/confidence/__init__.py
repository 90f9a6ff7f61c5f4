"""95% confidence bounds of unknowns, from the Gauss–Newton Hessian at a solution."""

from kanpinn.accuracy.confidence.covariance import Covariance as Covariance
from kanpinn.accuracy.confidence.dependence import Dependence as Dependence
from kanpinn.accuracy.confidence.estimates import Estimated as Estimated
from kanpinn.accuracy.confidence.estimates import EstimatedField as EstimatedField
from kanpinn.accuracy.confidence.estimates import HalfWidths as HalfWidths
from kanpinn.accuracy.confidence.estimates import Noise as Noise
