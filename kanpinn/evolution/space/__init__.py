"""Galerkin's method in space: functions, the equations tested with them, and linear systems.

`TrialSpace` are functions, `System` the equations. Each has two kinds: `ElementSpace` with
`DirectSystem`, whose matrices are factored, and `ProductSpace` with `ProductSystem`, whose linear
systems are solved by iterations.
"""
