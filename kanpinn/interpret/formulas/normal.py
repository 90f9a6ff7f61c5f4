"""The normal form of a graph of formulas, which fixes the free shifts and scales of its units."""

import math
from dataclasses import replace

from kanpinn.interpret.graphs.curves import Symbolic
from kanpinn.interpret.graphs.graph import Graph, Key


def normal_form(graph: Graph) -> Graph:
    """Return a graph of the same function with conventional constants.

    The value of a hidden unit may be shifted and scaled if the edges out of it undo this. In the
    normal form:

    - d = 0 on all edges into a hidden unit that adds;
    - a = 1 on the first edge out of a unit whose function has a scale of its own, such as sin; if
      all functions are powers or logarithms, c = 1 on the first edge into the unit instead;
    - c = 1 on all factors of a unit that multiplies but the first;
    - d = 0 on all edges into an output that adds but the first.
    """
    graph = _scaled_factors(_without_constants(graph))
    for layer in range(graph.depth - 1):
        for unit in range(graph.width[layer + 1]):
            graph = _normal_unit(graph, layer, unit)
    return _one_offset(graph)


def _without_constants(graph: Graph) -> Graph:
    """Multiply constant factors into another factor of the same unit and remove their edges."""
    for layer, unit in sorted(graph.products):
        into = _symbolic(graph, layer, 2, unit)
        for key, curve in into.items():
            if curve.function.name == "0" and len(_symbolic(graph, layer, 2, unit)) > 1:
                graph = graph.without(key)
                first, other = next(iter(_symbolic(graph, layer, 2, unit).items()))
                graph = graph.with_edge(first, _times(other, curve.d))
    return graph


def _scaled_factors(graph: Graph) -> Graph:
    """Move the scales of all factors of a multiplying unit to the first factor."""
    for layer, unit in sorted(graph.products):
        first, *others = _symbolic(graph, layer, 2, unit)
        for key in others:
            formulas = graph.formulas()
            curve = formulas[key]
            if curve.c:
                graph = graph.with_edge(first, _times(formulas[first], curve.c))
                graph = graph.with_edge(key, replace(curve, c=1.0, d=curve.d / curve.c))
    return graph


def _times(curve: Symbolic, factor: float) -> Symbolic:
    return replace(curve, c=factor * curve.c, d=factor * curve.d)


def _normal_unit(graph: Graph, layer: int, unit: int) -> Graph:
    into = _symbolic(graph, layer, 2, unit)
    out = _symbolic(graph, layer + 1, 1, unit)
    if not into or not out:
        return graph
    multiplies = (layer, unit) in graph.products
    shift = 0.0 if multiplies else sum(curve.d for curve in into.values())
    scaled = [curve.a for curve in out.values() if "a" in curve.function.free]
    first = next(iter(into.values())).c
    scale = scaled[0] if scaled else 1 / first if first else math.inf
    if not math.isfinite(scale) or scale == 0:
        return graph
    for number, (key, curve) in enumerate(into.items()):
        # Set to 1 directly, since scale · c may differ from 1 by rounding.
        c = 1.0 if number == 0 and not scaled else scale * curve.c
        if not multiplies:
            graph = graph.with_edge(key, replace(curve, c=c, d=0.0))
        elif number == 0:
            graph = graph.with_edge(key, replace(curve, c=c, d=scale * curve.d))
    for key, curve in out.items():
        a = 1.0 if curve.a == scale else curve.a / scale
        b = curve.b + curve.a * shift
        parameters = curve.function.canonical(a, b, curve.c, curve.d)
        graph = graph.with_edge(key, Symbolic(curve.function, *parameters))
    return graph


def _one_offset(graph: Graph) -> Graph:
    """Move the offsets d of all edges into each adding output to the first of these edges."""
    last = graph.depth - 1
    for unit in range(graph.width[-1]):
        if (last, unit) in graph.products:
            continue
        into = _symbolic(graph, last, 2, unit)
        total = sum(curve.d for curve in into.values())
        for number, (key, curve) in enumerate(into.items()):
            graph = graph.with_edge(key, replace(curve, d=total if number == 0 else 0.0))
    return graph


def _symbolic(graph: Graph, layer: int, end: int, unit: int) -> dict[Key, Symbolic]:
    """Return the formula edges of a layer into (end = 2) or out of (end = 1) a unit."""
    return {
        key: curve
        for key, curve in sorted(graph.formulas().items())
        if key[0] == layer and key[end] == unit
    }


def redundant(graph: Graph) -> set[tuple[Key, str]]:
    """Return the parameters (edge, name) that the normal form fixes."""
    fixed: set[tuple[Key, str]] = set()
    for layer, unit in graph.products:
        fixed |= {(key, "c") for key in list(_symbolic(graph, layer, 2, unit))[1:]}
    for layer in range(graph.depth - 1):
        for unit in range(graph.width[layer + 1]):
            into = _symbolic(graph, layer, 2, unit)
            out = _symbolic(graph, layer + 1, 1, unit)
            if (layer, unit) not in graph.products:
                fixed |= {(key, "d") for key in into}
            scaled = [key for key, curve in out.items() if "a" in curve.function.free]
            if scaled:
                fixed.add((scaled[0], "a"))
            elif into:
                fixed.add((next(iter(into)), "c"))
    last = graph.depth - 1
    for unit in range(graph.width[-1]):
        if (last, unit) not in graph.products:
            fixed |= {(key, "d") for key in list(_symbolic(graph, last, 2, unit))[1:]}
    return fixed
