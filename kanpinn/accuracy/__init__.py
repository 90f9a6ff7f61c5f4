"""The accuracy of solutions: error norms, bounds, orders, references and confidence bounds."""

from kanpinn.accuracy.confidence import Estimated as Estimated
from kanpinn.accuracy.errors import Bound as Bound
from kanpinn.accuracy.errors import Errors as Errors
from kanpinn.accuracy.errors import Estimate as Estimate
from kanpinn.accuracy.invariants import Invariant as Invariant
from kanpinn.accuracy.norms import ErrorNorm as ErrorNorm
from kanpinn.accuracy.orders import fit_order as fit_order
from kanpinn.accuracy.quantity import Quantity as Quantity
from kanpinn.accuracy.references import DataFile as DataFile
from kanpinn.accuracy.references import Recipe as Recipe
from kanpinn.accuracy.references import Reference as Reference
