"""The terms of an evolution: equation, initial values, conditions at walls; their orders in time.

`EvolutionTerms` has them all; `LinearTerm` is one that is linear in the fields.
"""
