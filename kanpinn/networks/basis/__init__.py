"""Bases of edge functions, subclasses of `Basis`; `BASES` maps their names to classes.

A new basis needs a file here and a line in `BASES`; the tests of all bases then include it.
"""

from kanpinn.networks.basis.basis import Basis as Basis
from kanpinn.networks.basis.chebyshev import Chebyshev as Chebyshev
from kanpinn.networks.basis.splines import BSplines as BSplines

BASES: dict[str, type[Basis]] = {"spline": BSplines, "chebyshev": Chebyshev}
