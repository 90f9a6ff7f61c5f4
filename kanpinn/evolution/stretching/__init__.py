"""Steady problems in coordinates that their solution stretches.

`Equidistribute` is the optimizer; `stretches` are the coordinates.
"""
