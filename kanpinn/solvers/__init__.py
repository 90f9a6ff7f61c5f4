"""Solves, fits, eigenvalue problems and verifications, with their optimization loop and results."""

from kanpinn.solvers.discretization import Loss as Loss
from kanpinn.solvers.eigen import Eigensolution as Eigensolution
from kanpinn.solvers.eigen import eigen as eigen
from kanpinn.solvers.error_estimate import error_bound as error_bound
from kanpinn.solvers.error_estimate import estimate_error as estimate_error
from kanpinn.solvers.fit import Fitted as Fitted
from kanpinn.solvers.fit import Scores as Scores
from kanpinn.solvers.fit import fit as fit
from kanpinn.solvers.reference_solution import ReferenceSolution as ReferenceSolution
from kanpinn.solvers.solution import Line as Line
from kanpinn.solvers.solution import Solution as Solution
from kanpinn.solvers.solve import solve as solve
from kanpinn.solvers.verification import Verification as Verification
from kanpinn.solvers.verify import Verified as Verified
from kanpinn.solvers.verify import verify as verify
