"""Eigenvalue problems: the smallest few eigenvalues of a linear operator and their modes."""

from kanpinn.solvers.eigen.eigen import default_eigen_network as default_eigen_network
from kanpinn.solvers.eigen.eigen import default_eigen_points as default_eigen_points
from kanpinn.solvers.eigen.eigen import discretize_eigen as discretize_eigen
from kanpinn.solvers.eigen.eigen import eigen as eigen
from kanpinn.solvers.eigen.eigensolution import Eigensolution as Eigensolution
