"""One solve by Dedalus, in a process of its own: its values at the last moment, as a line of JSON.

Reference: Burns et al., Dedalus: a flexible framework for numerical simulations with spectral
methods (2020).
"""

import argparse
import json
import math
import time
from typing import Any

import dedalus.public as d3
import numpy


def equations(name: str, u: Any, x: Any) -> tuple[dict[str, Any], str]:
    """Return the names of an equation and its text, linear terms on the left."""

    def dx(field: Any) -> Any:
        return d3.Differentiate(field, x)

    names = {"u": u, "dx": dx}
    texts = {
        "burgers": "dt(u) - 0.01 / pi * dx(dx(u)) = -u * dx(u)",
        "allen_cahn": "dt(u) - 1e-4 * dx(dx(u)) - 5 * u = -5 * u * u * u",
        "kuramoto_sivashinsky": "dt(u) + b * dx(dx(u)) + c * dx(dx(dx(dx(u)))) = -a * u * dx(u)",
        "zabusky_kruskal": "dt(u) + 0.022**2 * dx(dx(dx(u))) = -u * dx(u)",
        "schroedinger": "dt(u) - 0.5j * dx(dx(u)) = 1j * u * u * conj(u)",
    }
    numbers = {"a": 100 / 16, "b": 100 / 16**2, "c": 100 / 16**4, "pi": math.pi}
    return names | numbers | {"conj": numpy.conj}, texts[name]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("--ends", type=float, nargs=3, help="of x, and the last moment")
    parser.add_argument("--modes", type=int)
    parser.add_argument("--step", type=float)
    parser.add_argument("--start", help="a file with the initial values on the modes' points")
    parser.add_argument("--values", help="the file that the values there are written to")
    chosen = parser.parse_args()
    low, high, last = chosen.ends
    initial = numpy.load(chosen.start)
    begin = time.process_time()
    x = d3.Coordinate("x")
    kind = complex if numpy.iscomplexobj(initial) else float
    distributor = d3.Distributor(x, dtype=kind)
    fourier = d3.ComplexFourier if kind is complex else d3.RealFourier
    basis = fourier(x, size=chosen.modes, bounds=(low, high), dealias=3 / 2)
    u = distributor.Field(name="u", bases=basis)
    u["g"] = initial
    names, text = equations(chosen.name, u, x)
    problem = d3.IVP([u], namespace=names)
    problem.add_equation(text)
    solver = problem.build_solver(d3.RK443)
    count = math.ceil(last / chosen.step * (1 - 1e-12))
    for _ in range(count):
        solver.step(last / count)
    u.change_scales(1)
    found = numpy.array(u["g"])
    seconds = time.process_time() - begin
    numpy.save(chosen.values, found)
    print(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main()
