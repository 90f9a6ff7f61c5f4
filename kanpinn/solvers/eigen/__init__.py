"""Eigenvalue problems: the smallest eigenvalues of a linear operator, and their modes."""

from kanpinn.solvers.eigen.eigen import Eigensolution as Eigensolution
from kanpinn.solvers.eigen.eigen import default_eigen_network as default_eigen_network
from kanpinn.solvers.eigen.eigen import discretize_eigen as discretize_eigen
from kanpinn.solvers.eigen.eigen import eigen as eigen
