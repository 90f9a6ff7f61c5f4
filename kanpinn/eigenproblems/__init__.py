"""Eigenvalue problems: the smallest few eigenvalues of an operator, and their modes."""

from kanpinn.eigenproblems.eigen import default_points as default_points
from kanpinn.eigenproblems.eigen import eigen as eigen
from kanpinn.eigenproblems.eigen import prepare as prepare
from kanpinn.eigenproblems.eigensolution import Eigensolution as Eigensolution
from kanpinn.eigenproblems.problem import EigenProblem as EigenProblem
from kanpinn.eigenproblems.restoring import restored as restored
