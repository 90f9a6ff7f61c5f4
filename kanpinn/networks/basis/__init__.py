"""Bases of edge functions behind one protocol, `Basis`; `BASES` has them by their names in files.

A new basis is a file here and a line in `BASES`; the tests over all bases then take it up.
"""

from kanpinn.networks.basis.basis import Basis as Basis
from kanpinn.networks.basis.chebyshev import Chebyshev as Chebyshev
from kanpinn.networks.basis.splines import BSplines as BSplines

BASES: dict[str, type[Basis]] = {"spline": BSplines, "chebyshev": Chebyshev}
