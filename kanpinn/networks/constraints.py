"""Hard constraints: surrogates that satisfy boundary, initial and periodic conditions exactly."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn._support.shapes import Column, Coords
from kanpinn.geometry import Domain, Piece, Points
from kanpinn.geometry.box import coordinate_beyond
from kanpinn.geometry.planar import Planar
from kanpinn.geometry.sampling import sample
from kanpinn.jets import Channels, Jet, find_channels, jet_of, join, slopes_of, zero_jet
from kanpinn.networks.basis.chebyshev import chebyshev_polynomials
from kanpinn.networks.layer import Function
from kanpinn.networks.network import Imposition, Network, OutputMap
from kanpinn.pde.boundary_value_problem import BoundaryValueProblem, Jump, jumps, prescribed_data
from kanpinn.pde.conditions import Prescribed

Values = Callable[[Points], Tensor]
OfCoords = Callable[[Coords], Tensor]  # a function of coordinates (n, d)


class NotExact(InputError):
    """Raised for Dirichlet data that cannot be built into a surrogate, with the reason."""


@dataclass(frozen=True, eq=False)
class Polynomial:
    """Polynomial Σ_k c_k T_k1(ξ_1) ⋯ T_kd(ξ_d), with scaled coordinates ξ in [-1, 1]^d.

    Args:
        low, high: the corners of the box that is scaled to [-1, 1]^d, (d,) each.
        exponents: the degrees k = (k1, …, kd) of the Chebyshev polynomials, (terms, d).
        coefficients: the coefficients c of m polynomials, (terms, m).
    """

    low: Tensor
    high: Tensor
    exponents: Tensor
    coefficients: Tensor

    def __call__(self, coords: Coords) -> Tensor:
        return self.basis(coords) @ self.coefficients.to(coords)

    def basis(self, coords: Coords) -> Tensor:
        """Return the values of the products T_k1(ξ_1) ⋯ T_kd(ξ_d) at n points, (n, terms)."""
        low, high = self.low.to(coords), self.high.to(coords)
        xi = 2 * (coords - low) / (high - low) - 1
        powers = chebyshev_polynomials(xi, int(self.exponents.max()) + 1)  # (n, d, degree + 1)
        chosen = self.exponents.to(coords.device)
        columns = (powers[:, axis, which] for axis, which in enumerate(chosen.unbind(dim=1)))
        return math.prod(columns, start=torch.ones_like(xi[:, :1]))


def polynomial_lift(
    bounds: tuple[Tensor, Tensor], data: Sequence[tuple[Piece, Values]]
) -> Polynomial | None:
    """Return a polynomial of low degree that equals the data on the pieces, or None.

    Increasing degrees up to 36 are tried, as long as there are at most 1000 coefficients, and the
    first polynomial that reproduces the data is returned. For each degree the polynomial is the
    least-squares fit at points of the pieces. If the fit is not unique, the coefficients are the
    smallest in a norm that weights high degrees more.

    Args:
        bounds: the corners of the domain's bounding box, (d,) each.
        data: pairs of a piece and the function that returns the data (n, m) at n of its points.
    """
    checked, fits = [], []
    for piece, values in data:
        spread, ends = sample(piece, 32 * 4**piece.dim, "sobol"), piece.rim
        checked.append((Points.cat([spread, ends]) if len(ends) else spread, values))
        # n + 1 points along each direction determine a polynomial of degree n on a flat piece, and
        # 2n + 1 points on a curved piece.
        few = piece.gauss(4**piece.dim).coords
        flat = torch.linalg.matrix_rank(few - few[:1], rtol=1e-9) <= piece.dim
        fits.append((piece, values, (1, 2) if flat else (3, 4)))
    coords, expected = _values(checked)
    for degree in (0, 2, 4, 6, 8, 12, 16, 20, 24, 28, 32, 36):
        powers = itertools.product(range(degree + 1), repeat=len(bounds[0]))
        exponents = torch.tensor([k for k in powers if sum(k) <= degree])
        if len(exponents) > 1000:  # a dense fit of more coefficients is slow
            break
        fit = _values(
            [(piece.gauss((a * degree + b) ** piece.dim), v) for piece, v, (a, b) in fits]
        )
        # The scale makes coefficients that the data do not determine decay with the degree, so that
        # the polynomial is smooth inside the domain, too.
        scale = 1.7 ** -exponents.sum(dim=1).double()
        basis = Polynomial(*bounds, exponents, exponents.new_zeros(0)).basis(fit[0]) * scale
        solution = torch.linalg.lstsq(basis, fit[1], rcond=1e-14, driver="gelsd").solution
        lift = Polynomial(*bounds, exponents, scale[:, None] * solution)
        if (lift(coords) - expected).abs().max() <= 1e-11 * float(expected.abs().max()):
            return lift
    return None


def _values(parts: list[tuple[Points, Values]]) -> tuple[Tensor, Tensor]:
    """Evaluate boundary data at points of several pieces of a boundary.

    Args:
        parts: for each piece its points and the function that gives the data there.

    Returns:
        The coordinates of all points, (n, d), and the data at these points, (n, m).
    """
    values = torch.cat([function(points) for points, function in parts])
    return torch.cat([points.coords for points, _ in parts]), values


def check_smooth(data: Sequence[Prescribed], rough: bool) -> None:
    """Refuse data that are not smooth, or that autograd cannot differentiate.

    The surrogate's derivatives contain the derivatives of the data. Autograd misses the delta in
    the second derivative at a kink, and returns no derivatives of data that are computed outside of
    torch. In both cases the surrogate would have wrong derivatives without an error. The test
    expands the data in Chebyshev polynomials on random chords of each piece, and compares the
    derivatives of the expansion with the derivatives by autograd.

    Args:
        data: the data on pieces of a boundary.
        rough: whether all data are accepted without a test.

    Raises:
        NotExact: if data are refused; the message names the piece.
    """
    for given in data:
        piece, chords = given.piece, 12
        if given.is_zero or rough or piece.dim == 0:
            continue
        ends = sample(piece, 2 * chords, "uniform").coords
        pairs = zip(ends[:chords], ends[chords : 2 * chords], strict=True)
        if not all(_smooth_between(a, b, given.values, piece.names) for a, b in pairs):
            raise NotExact(
                f"the values prescribed on {piece.name} are not smooth, or their derivatives are "
                "not known"
            )


def _smooth_between(a: Tensor, b: Tensor, function: Function, names: tuple[str, ...]) -> bool:
    """Return whether data are smooth, and differentiable by autograd, on the chord from a to b.

    Args:
        a, b: the ends of the chord, (d,) each.
        function: the data, a function of points.
        names: the names of the coordinates.
    """
    centre, half = (a + b) / 2, (b - a) / 2
    for order in (16, 32, 64, 128, 256):
        angles = torch.pi * (torch.arange(order, dtype=torch.float64) + 0.5) / order
        along = torch.cos(angles)[:, None].requires_grad_()
        with torch.enable_grad():
            values = function(Points(centre + along * half, names))
        waves = torch.cos(torch.arange(order, dtype=torch.float64)[:, None] * angles)
        coefficients = 2 / order * (waves @ values.detach())
        largest = coefficients.abs().max()
        # For a smooth function the last quarter of the coefficients is small.
        if coefficients[3 * order // 4 :].abs().max() <= 1e-7 * largest:
            break
    else:
        return False
    # The derivative of Σ c_n T_n(cos θ) with respect to cos θ is Σ n c_n sin(nθ) / sin θ. It must
    # equal the derivative by autograd.
    numbers = torch.arange(len(angles), dtype=torch.float64)
    expected = (torch.sin(angles[:, None] * numbers) * numbers) @ coefficients
    expected = expected / torch.sin(angles)[:, None]
    with torch.enable_grad():
        (slopes,) = slopes_of(values, along)
    # Rounding is amplified near the ends of the chord, so only the middle half is compared.
    middle = slice(len(angles) // 4, math.ceil(3 * len(angles) / 4))
    size = expected[middle].abs().max() + coefficients.abs().max() * 1e-3
    return bool((slopes - expected)[middle].abs().max() <= 1e-4 * size)


MAX_DIM = 4  # in more dimensions products of distances nearly vanish

Side = tuple[int, bool]  # a side of a box, see `Piece.side`


@dataclass(frozen=True, eq=False)
class ExactDirichlet:
    """Output map u = g + D·N, which equals data on pieces of the boundary for every network N.

    Args:
        distance: D, (n, d) → (n, 1), which vanishes to first order on the pieces, and nowhere else.
        lift: g, (n, d) → (n, 1), which equals the data on the pieces; None for zero data.

    Reference: Lagaris, Likas and Fotiadis, Artificial neural networks for solving ordinary and
    partial differential equations (1998).
    """

    distance: OfCoords
    lift: OfCoords | None = None

    def apply(self, points: Points, jet: Jet) -> Jet:
        """Return the jet of the fields g + D·N from the jet of the network's output N.

        g is the function `lift`, or 0 without it, and D is the function `distance`.
        """
        functions = [function for function in (self.distance, self.lift) if function is not None]
        distance, *lift = points.once(
            (self, jet.channels),
            lambda: jet_of(
                lambda x: torch.cat([function(x) for function in functions], dim=1),
                points.coords,
                jet.channels,
            ),
        ).components()
        inner: Jet = distance * jet
        return lift[0] + inner if lift else inner


@dataclass(frozen=True)
class Distance:
    """Approximate distance D = Π f_i / size_i from some pieces of a boundary.

    Each piece lies on a line, ellipse, plane or sphere f_i = 0. D is smooth everywhere, vanishes to
    first order on the pieces, and is positive elsewhere in the domain.

    Args:
        factors: the functions f_i, (n, d) → (n, 1).
        sizes: the positive numbers size_i.
    """

    factors: tuple[OfCoords, ...]
    sizes: tuple[float, ...]

    def __call__(self, coords: Coords) -> Column:
        parts = (f(coords) / size for f, size in zip(self.factors, self.sizes, strict=True))
        return math.prod(parts, start=torch.ones_like(coords[:, :1]))


@dataclass(frozen=True, eq=False)
class BooleanSum:
    """A function g that equals given data at one or both ends of a coordinate.

    With the data u_e at the end e, it is g = G + Σ_e w_e (u_e - G_e), where G is a function that
    equals data on other pieces of the boundary, and G_e is its value at the end e. If the data u_e
    agree with G on the other pieces, the sum vanishes there, and g equals all data. The weights w_e
    are linear in the coordinate, or 1 if there are data at one end only. Applied to one coordinate
    of a box after another, the formula is the transfinite interpolation of the data on the faces of
    the box.

    Args:
        inner: G, (n, d) → (n, m); None for zero.
        axis: the index of the coordinate.
        ends: a dict from one or two values of the coordinate, the ends, to the data u_e. The data
            are a function of n points at this end that returns (n, m), or None for zero data.
        names: the names of the coordinates.

    Reference: Gordon and Hall, Transfinite element methods (1973).
    """

    inner: OfCoords | None
    axis: int
    ends: Mapping[float, Values | None]
    names: tuple[str, ...]

    def __call__(self, coords: Coords) -> Tensor:
        before, x, after = coords.tensor_split((self.axis, self.axis + 1), dim=1)
        total = torch.zeros_like(x) if self.inner is None else self.inner(coords)
        low, high = min(self.ends), max(self.ends)
        for end, values in self.ends.items():
            at = torch.cat([before, torch.full_like(x, end), after], dim=1)
            gap = torch.zeros_like(x) if values is None else values(Points(at, self.names))
            if self.inner is not None:
                gap = gap - self.inner(at)
            if len(self.ends) == 2:
                share = (x - low) / (high - low)
                gap = (share if end == high else 1 - share) * gap
            total = total + gap
        return total


@dataclass(frozen=True, eq=False)
class Groupwise:
    """Output map that has a map of its own for each group of the network's outputs.

    Groups are the fields of a system, or the modes of an eigenvalue problem.

    Args:
        maps: the output map of each group; None for the identity.
        fields: the number of outputs in a group.
    """

    maps: tuple[OutputMap | None, ...]
    fields: int = 1

    def apply(self, points: Points, jet: Jet) -> Jet:
        """Return the jet of all fields from the jet of the network's outputs."""
        both = zip(self.maps, jet.groups(self.fields), strict=True)
        return join([part if m is None else m.apply(points, part) for m, part in both])


def on_faces(box: Domain, data: Mapping[Side, Values | None]) -> ExactDirichlet:
    """Return the output map g + D·N that equals data on faces of a box.

    D is the product of 1 ± ξ over the faces, where ξ in [-1, 1] is the scaled coordinate that is
    constant on the face.

    Args:
        box: a box, or a box over a time interval.
        data: a dict from the faces, given by `Piece.side`, to the data. The data of a face are a
            function of n points on the face that returns (n, m), or None for zero data.
    """
    low, high = box.bounds
    planes = [partial(coordinate_beyond, axis, float(box.bounds[up][axis])) for axis, up in data]
    depths = tuple(
        partial(_negative, f) if up else f for f, (_, up) in zip(planes, data, strict=True)
    )
    sizes = tuple(float((high - low)[axis]) / 2 for axis, _ in data)
    lift, by_axis = None, dict[int, dict[float, Values | None]]()
    for (axis, upper), values in data.items():
        by_axis.setdefault(axis, {})[float(box.bounds[int(upper)][axis])] = values
    if any(values is not None for values in data.values()):
        for axis, ends in by_axis.items():
            lift = BooleanSum(lift, axis, ends, box.names)
    return ExactDirichlet(Distance(depths, sizes), lift)


def _negative(level: OfCoords, coords: Coords) -> Tensor:
    """Minus the values of a level function at coordinates (n, d)."""
    return -level(coords)


def distance(domain: Domain, pieces: Sequence[Piece]) -> Distance:
    """Return an approximate distance function of some pieces of a domain's boundary.

    The largest value of the function in the domain is about 1.

    Args:
        domain: the domain.
        pieces: the pieces of the boundary on which the function vanishes.

    Raises:
        NotExact: if there are more than 200 pieces, a piece does not lie on a line, ellipse, plane
            or sphere, or this line or surface meets the rest of the domain, as at a reentrant
            corner.
    """
    most = 200  # the number of pieces is limited, because all pairs are compared
    if len(pieces) > most:
        raise NotExact(f"exact imposition is for up to {most} pieces of the boundary")
    inside = domain.quadrature(8)[0].coords
    others = [other for other in domain.boundary.pieces if not any(_same(other, p) for p in pieces)]
    apart = torch.cat([inside, *(piece.gauss(64).coords for piece in others)])
    # At the ends of pieces, where two pieces touch each other, the functions f_i may be zero but
    # not negative.
    ends = torch.cat([inside[:0], *(piece.rim.coords for piece in domain.boundary.pieces)])
    factors: list[OfCoords] = []
    sizes: list[float] = []
    for piece in pieces:
        on = piece.gauss(64).coords
        if any(f(on).abs().max() < 1e-9 * size for f, size in zip(factors, sizes, strict=True)):
            continue  # the piece lies on the same curve or surface as an earlier one
        carrier = piece.level
        if carrier is None:
            raise NotExact(f"there is no smooth distance from the piece {piece.name}")
        values = carrier(apart)
        if values[0] < 0:
            carrier, values = partial(_negative, carrier), -values
        size = float(values.max())
        if values.min() < 1e-9 * size or bool((carrier(ends) < -1e-9 * size).any()):
            raise NotExact(
                f"the line or surface that the piece {piece.name} is on meets the rest of the "
                "domain, so no smooth distance vanishes on that piece only"
            )
        factors.append(carrier)
        sizes.append(size)
    largest = float(Distance(tuple(factors), tuple(sizes))(inside).max())
    return Distance(tuple(factors), (sizes[0] * largest, *sizes[1:]))


def _same(a: Piece, b: Piece) -> bool:
    """Return whether two pieces of a boundary are one set of points."""
    if a == b or a.name != b.name or type(a) is not type(b):
        return a == b
    p, q = a.gauss(64).coords, b.gauss(64).coords
    return p.shape == q.shape and torch.allclose(p, q)


def on_any_domain(domain: Domain, data: Sequence[Prescribed], rough: bool) -> ExactDirichlet:
    """Return the output map g + D·N that equals the data of one field on pieces of any domain.

    Args:
        domain: the domain.
        data: the data of the field on each piece.
        rough: whether second derivatives may be unbounded at corners, as in the energy form. If so,
            D may be the level function of a planar domain, which is not smooth at corners. It is
            used if no smooth D is found and the pieces are the whole boundary.

    Raises:
        NotExact: if no distance D or no polynomial g is found, or data at the first or last time
            are not smooth.
    """
    pieces = [given.piece for given in data]
    depth: OfCoords
    try:
        depth = distance(domain, pieces)
    except NotExact:
        if not (rough and isinstance(domain, Planar) and {*pieces} == {*domain.boundary.pieces}):
            raise
        depth = domain.level
    ends = {given.piece.at_time: given for given in data if given.piece.at_time is not None}
    lateral = [given for given in data if given.piece.at_time is None]
    check_smooth(list(ends.values()), rough)
    lift: OfCoords | None = None
    if not all(given.is_zero for given in lateral):
        lift = polynomial_lift(domain.bounds, [(given.piece, given.values) for given in lateral])
        if lift is None:
            raise NotExact("no polynomial takes the prescribed values, which must be smooth")
    if not all(given.is_zero for given in ends.values()) or (ends and lift is not None):
        at_ends = {end: given.values for end, given in ends.items()}
        lift = BooleanSum(lift, domain.dim - 1, at_ends, domain.names)
    return ExactDirichlet(depth, lift)


IMPOSITIONS = ("auto", "exact", "penalty")


def refuse_unfit(
    problem: BoundaryValueProblem, functions: Mapping[str, object], form: str, network: str
) -> None:
    """Refuse a problem or a form of the loss that a kind of network cannot use.

    Args:
        problem: the problem.
        functions: a dict from the names of methods of the problem to their results. The network
            cannot use these results; empty results are accepted.
        form: the argument `form` of `solve`; only "strong" is accepted.
        network: the kind of network, for messages.

    Raises:
        InputError: if a result is not empty, or for the form "energy".
    """
    for name, given in functions.items():
        if given:
            raise InputError(
                f"{type(problem).__name__} has {name}(), which {network} cannot use: take another "
                "network"
            )
    if form == "energy":
        raise InputError(f'form must be "strong" for {network}')


def refuse_imposed(problem: BoundaryValueProblem, network: Network, boundary: str) -> None:
    """Refuse built-in conditions and weights of conditions for networks in cells.

    The method of these networks computes the weights of all conditions.

    Args:
        problem: the problem.
        network: the network in cells.
        boundary: the argument `boundary` of `solve`.

    Raises:
        InputError: if `boundary` is "exact", or a condition has a weight other than 1.
    """
    if boundary not in ("auto", "penalty"):
        raise InputError(
            f'boundary must be "auto" or "penalty" for {type(network).__name__}, got {boundary!r}: '
            "cells have the conditions in their least-squares problems"
        )
    for condition in problem.conditions():
        if condition.weight != 1:
            raise InputError(
                f"the weight of {condition.title} must be left out, got {condition.weight:g}: "
                f"{network.unweighted}"
            )


def periodic_axes(problem: BoundaryValueProblem) -> dict[int, int]:
    """For each periodic condition on all fields, the coordinate that it makes periodic.

    The result maps the index of the condition to the index of the coordinate.
    """
    named = {i: c.periodic_in for i, c in enumerate(problem.conditions())}
    names = problem.domain.names
    return {i: names.index(name) for i, name in named.items() if name is not None}


def choose_imposition(
    problem: BoundaryValueProblem,
    boundary: object,  # a string, which is checked here
    jumping: Sequence[Jump],
    rough: bool = False,
    in_windows: bool = False,
) -> Imposition:
    """Choose how the Dirichlet and initial values of a problem are imposed.

    The values can be built into the surrogate ("exact") or be terms of the loss ("penalty"). In up
    to four dimensions they can be built in on boxes if the data are smooth on each side. On other
    domains this needs a smooth function that vanishes only on the pieces with data, and a
    polynomial that equals the data on these pieces. For "auto", values are built in wherever
    possible, except for non-zero data on domains that are no boxes.

    The choice is based on measurements on disks, annuli, disks with a hole, pentagons and squares
    with a notch. With zero data, "exact" is 10 to 400 times more accurate than "penalty", for small
    and large networks. With non-zero data, "exact" is more accurate for small networks only; for
    large networks, at errors of 1e-8 and below, either choice may be better, and "penalty" by a
    factor of up to 1e7. At a reentrant corner there is no smooth function that vanishes on the two
    sides only. A function that joins the distances from the two sides has unbounded second
    derivatives at the corner: on an L-shape the error is 2e-3 with such a function, and 1e-11 with
    "penalty".

    Args:
        problem: the problem; its `conditions()` should return the same conditions at each call.
        boundary: "auto", "exact" or "penalty", the argument `boundary` of `solve`.
        jumping: the jumps of the problem's data; no continuous function equals data that jump.
        rough: whether second derivatives of the distance function may be unbounded at corners, as
            in the energy form.
        in_windows: whether the network consists of windows of time. Then data at the initial time
            are not built in, and data on the boundary in space are built in wherever possible.

    Raises:
        InputError: for another value of `boundary`, or if "exact" is requested but impossible.
    """
    if boundary not in IMPOSITIONS:
        raise InputError(f'boundary must be "auto", "exact" or "penalty", got {boundary!r}')
    if boundary == "penalty":
        return Imposition(None)
    data = prescribed_data(problem)
    if in_windows:
        data = {name: [d for d in given if not d.piece.is_initial] for name, given in data.items()}
    lifting = in_windows or boundary == "exact"
    try:
        if jumping:
            raise NotExact(str(jumping[0]))
        if problem.enrichment():
            raise NotExact(
                "exact imposition does not go with the known functions of "
                f"{type(problem).__name__}.enrichment(), which need not vanish on the boundary"
            )
        fields = problem.fields
        maps = [_of_field(problem.domain, name, data[name], rough, lifting) for name in fields]
    except NotExact as reason:
        if boundary == "exact":
            other = "auto" if in_windows else "penalty"
            raise InputError(
                f'boundary = "exact" is impossible here, use "{other}": {reason}'
            ) from None
        return Imposition(None, why=str(reason))
    if all(field is None for field in maps):
        return Imposition(None)
    # The output maps build in values but no time derivatives; only networks in time windows build
    # in the latter.
    met = set[int]()
    for index, condition in enumerate(problem.conditions()):
        given = [] if condition.numbers else condition.prescribed(problem.fields)
        if given and all(d.rate is None and not (in_windows and d.piece.is_initial) for d in given):
            met.add(index)
    return Imposition(maps[0] if len(maps) == 1 else Groupwise(tuple(maps)), frozenset(met))


def describe_imposition(problem: BoundaryValueProblem, boundary: str, rough: bool = False) -> str:
    """Return the choice of `choose_imposition` as text, with the reason for a penalty.

    The text is "none" for a problem without prescribed values. Otherwise it is `boundary`, or if
    `boundary` is "auto", "exact (chosen)" or "penalty (chosen: …)".

    Args:
        problem, boundary, rough: see `choose_imposition`.

    Raises:
        InputError: see `choose_imposition`.
    """
    if not any(prescribed_data(problem).values()):
        return "none"
    chosen = choose_imposition(problem, boundary, jumps(problem), rough)
    if boundary != "auto":
        return boundary
    return f"penalty (chosen: {chosen.why})" if chosen.output is None else "exact (chosen)"


@torch.no_grad()
def _of_field(
    domain: Domain, name: str, data: Sequence[Prescribed], rough: bool, lifting: bool
) -> OutputMap | None:
    """Return the output map that builds in the data of one field, None for a field without data.

    Args:
        domain: the domain.
        name: the name of the field, for messages.
        data: the values prescribed for the field.
        rough: see `choose_imposition`.
        lifting: whether non-zero data are built in on domains that are no boxes, too.

    Raises:
        NotExact: if the data cannot be built in; the message has the reason.
    """
    if not data:
        return None
    if domain.dim > MAX_DIM:
        raise NotExact(
            f"exact imposition is for up to {MAX_DIM} dimensions, the domain has {domain.dim}"
        )
    for given, other in itertools.combinations(data, 2):
        if given.piece == other.piece:
            raise NotExact(f"two conditions prescribe {name} on {given.piece.name}")
    # Non-zero data on the boundary in space need a polynomial; data at the first or last time do
    # not.
    lifted = any(not given.is_zero and given.piece.at_time is None for given in data)
    if lifted and not lifting and not domain.is_box:
        raise NotExact(
            "the penalty is usually more accurate for non-zero data in domains other than boxes"
        )
    if domain.is_box:
        check_smooth(data, rough)
        values: dict[Side, Values | None] = {}
        for given in data:
            side = given.piece.side
            if side is None or given.piece.names != domain.names:
                raise NotExact(f"the piece {given.piece.name} is no side of {domain!r}")
            values[side] = None if given.is_zero else given.values
        made = on_faces(domain, values)
    else:
        made = on_any_domain(domain, data, rough)
    # If data of different pieces disagree at a common point, no continuous function equals them.
    for given in data:
        points = sample(given.piece, 16, "gauss")
        zero = Jet(Channels(points.names), torch.zeros_like(points.coords[:, :1]))
        imposed, expected = made.apply(points, zero).value, given.values(points)
        gap = float((imposed - expected).abs().max())
        if not gap <= 1e-8 * (1 + float(expected.abs().max())):
            raise NotExact(
                f"values prescribed for {name} disagree: those on {given.piece.name} would be "
                f"missed by {gap:.1e}"
            )
    return made


@dataclass(frozen=True)
class Circles:
    """Network inputs that are periodic in some coordinates.

    For each periodic coordinate x with a range of length L there are two inputs, the cosine and the
    sine of 2π (x - x_min) / L. Every other coordinate is one input, scaled to [-1, 1]. Every smooth
    function of these inputs is periodic with all of its derivatives.

    Args:
        domain: the domain.
        periodic: the names of the periodic coordinates.
        starts_at_zero: whether the last coordinate, if not periodic, is scaled to [0, 2] instead,
            see `Network`.

    Reference: Dong and Ni, A method for representing periodic functions (2021).
    """

    domain: Domain
    periodic: frozenset[str]
    starts_at_zero: bool = False

    def __call__(self, p: Points) -> Tensor:
        """Return the inputs (n, q) at n points."""
        low, high = (corner.to(p.coords) for corner in self.domain.bounds)
        columns = []
        for name, x in zip(p.names, ((p.coords - low) / (high - low)).split(1, dim=1), strict=True):
            if name in self.periodic:
                columns += [torch.cos(2 * math.pi * x), torch.sin(2 * math.pi * x)]
            else:
                columns.append(2 * x if self.starts_at_zero and name == p.names[-1] else 2 * x - 1)
        return torch.cat(columns, dim=1)


@torch.no_grad()
def periodic_numbers(problem: BoundaryValueProblem, output: OutputMap | None) -> frozenset[int]:
    """Return the indices of the periodic conditions that every surrogate with `Circles` satisfies.

    If the surrogate has an output map, such as `ExactDirichlet`, the map has to be periodic, too;
    this is tested with the map of the constant function 1.

    Args:
        problem: the problem.
        output: the surrogate's output map, or None.
    """
    conditions = problem.conditions()
    periodic = frozenset(periodic_axes(problem))
    if output is None:
        return periodic

    def holds(index: int) -> bool:
        """Return whether the output map satisfies the periodic condition with the given index."""
        points = conditions[index].few_points()

        def residual(channels: Channels) -> torch.Tensor:
            """The residual of the condition for the output map of the constant function 1."""
            ones = zero_jet(channels, points.coords, len(problem.fields)) + 1
            return conditions[index].stacked_residual(points, output.apply(points, ones))

        _, values = find_channels(residual, points.names)
        return bool(values.abs().max() <= 1e-8)

    return frozenset(filter(holds, periodic))
