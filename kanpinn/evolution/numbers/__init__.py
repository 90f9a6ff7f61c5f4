"""Unknown numbers of evolutions: marches for given numbers, their derivatives, the fit to data.

`Shooting` is the optimizer.
"""
