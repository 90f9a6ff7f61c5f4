"""Collocation in time: its stages, polynomials between them, jets in space and time.

`Stages` are the nodes with their eigenvalues, `Polynomials` the solution through them.
"""
