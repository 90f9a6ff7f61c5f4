"""Continuation in a parameter of a problem, for networks with an output layer and for cells."""

from kanpinn.solvers.continuation.continuation import Continuation as Continuation
