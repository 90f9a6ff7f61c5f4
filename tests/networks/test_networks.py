"""Networks, surrogates and exact boundary data: jets and Jacobians against torch.func."""

import math

import pytest
import reference
import torch
from cases import Square, terms_at
from torch.func import jacrev

import kanpinn as kp
from kanpinn.geometry import Points
from kanpinn.geometry.points import Batch
from kanpinn.jets import Channels
from kanpinn.loss.residuals import Residuals, frozen
from kanpinn.networks import Surrogate
from kanpinn.networks.constraints import on_faces
from kanpinn.networks.layer import Tape, get_coefficients, set_coefficients

NAMES = ("x", "y")
BOX = kp.Box(x=(0, 2), y=(-1, 0.5))
DIRECTIONS = ((1.0, 0.0), (2.0, -0.5))
TOLERANCE = 1e-12

NETWORKS = {
    "kan": lambda: kp.KAN([2, 3, 2], degree=5, grid=3, seed=1),
    "kan of low degree": lambda: kp.KAN([2, 3, 2], degree=[4, 6], grid=[2, 5], seed=2),
    "deep kan": lambda: kp.KAN([2, 3, 2, 1], degree=[9, 5, 7], grid=[1, 2, 4], seed=3),
    "kan with base": lambda: kp.KAN([2, 3, 1], degree=6, grid=3, base="silu", seed=4),
    "shallow kan": lambda: kp.KAN([2, 2], degree=7, grid=4, seed=5),
    "tanh": lambda: kp.MLP([2, 5, 4, 1], "tanh", seed=6),
    "sine": lambda: kp.MLP([2, 5, 2], "sine", scale=2.0, seed=7),
    "linear": lambda: kp.MLP([2, 1], seed=8),
    "sine with a frequency": lambda: kp.MLP([2, 5, 4, 1], "sine", frequency=3, seed=9),
}


@pytest.fixture(params=NETWORKS)
def network(request, generator):
    """A network with random coefficients and its grids around what it sees on `BOX`."""
    network = NETWORKS[request.param]()
    layers = list(network.layers)
    noise = torch.randn(network.parameter_count, generator=generator, dtype=torch.float64)
    set_coefficients(layers, get_coefficients(layers) + 0.3 * noise)
    Surrogate(network, BOX).prepare(everywhere(BOX))
    return network


def inside(box, n: int, generator) -> Points:
    unit = torch.rand(n, box.dim, generator=generator, dtype=torch.float64)
    return box.image(unit)


def everywhere(box) -> Points:
    """A grid that holds the corners."""
    ticks = torch.linspace(0, 1, 9, dtype=torch.float64)
    unit = torch.cartesian_prod(*[ticks] * box.dim).reshape(-1, box.dim)
    return box.image(unit)


def scaled(function, box=BOX):
    """function(ξ(x)) with the box's affine map to [-1, 1]^d."""
    low, high = box.bounds
    return lambda x: function(2 * (x - low) / (high - low) - 1)


def test_every_channel_of_a_jet_agrees_with_torch_func(network, generator):
    p = inside(BOX, 6, generator)
    channels = Channels(NAMES, second="hessian", directions=DIRECTIONS, order=4)
    u = Surrogate(network, BOX).jet(p, channels)
    plain, coefficients = reference.plain(network), reference.coefficients_of(network)
    function = scaled(lambda xi: plain(coefficients, xi))
    true = reference.jet_of_point(function, p.coords, NAMES)
    for name in ("value", "gradient", "second"):
        assert reference.distance(getattr(u, name), getattr(true, name)) < TOLERANCE
    for i, direction in enumerate(DIRECTIONS):
        line = reference.along(function, p.coords, direction, 4)
        for order in range(4):
            assert reference.distance(u.lines[:, i, order], line[:, order]) < TOLERANCE


def test_jacobians_of_jets_agree_with_torch_func(network, generator):
    p, surrogate = inside(BOX, 4, generator), Surrogate(network, BOX)
    channels = Channels(NAMES, second="laplacian")
    tape = Tape(list(network.layers))
    with frozen(surrogate):
        u = surrogate.jet(p, channels, tape)
    residual = (kp.laplacian(u) + u.value**2 * u.gradient[:, 0])[:, -1]
    plain = reference.plain(network)

    def by_func(coefficients):
        function = scaled(lambda xi: plain(coefficients, xi))
        u = reference.jet_of_point(function, p.coords, NAMES)
        return (kp.laplacian(u) + u.value**2 * u.gradient[:, 0])[:, -1]

    true = jacrev(by_func)(reference.coefficients_of(network))
    flat = torch.cat([part.flatten(1) for part in true], dim=1)
    assert reference.distance(tape.jacobian(residual), flat) < TOLERANCE


@torch.no_grad()
def test_sines_with_a_frequency_keep_the_variance_of_their_arguments(generator):
    network = kp.MLP([2, 400, 400, 400, 1], "sine", frequency=30)
    h = inside(BOX, 300, generator).coords
    for depth, layer in enumerate(network.layers):
        weights, bias = layer.coefficients.split([len(layer.coefficients) - 1, 1])
        h = h @ weights + bias
        if 0 < depth < 3:
            assert float((30 * (h - bias)).var()) == pytest.approx(1, abs=0.1)  # 6/n · n/3 · 1/2
        h = (30 * h).sin()
    assert network.layers[0].coefficients[:-1].abs().max() == pytest.approx(1 / 2, rel=0.01)


@pytest.mark.parametrize("grid", [6, 11])
def test_refinement_that_does_not_come_out_even_splits_the_widest_intervals(grid, generator):
    network = kp.KAN([2, 4, 1], degree=3, grid=4, seed=0)
    surrogate, p = Surrogate(network, BOX), inside(BOX, 200, generator)
    surrogate.prepare(p)
    before, widths = surrogate(p), network.layers[1].basis.breaks.diff(dim=1)
    assert network.refine(grid) == 0.0
    assert reference.distance(surrogate(p), before) < TOLERANCE
    finer = network.layers[1].basis.breaks.diff(dim=1)
    assert finer.shape == (4, grid)
    parts = widths[:, :1] / torch.tensor([grid // 4, grid // 4 + 1])
    assert ((finer[..., None] / parts[:, None] - 1).abs().amin(-1) < 1e-12).all()


@pytest.mark.parametrize(("width", "own"), [([2, 3, 2, 1], 0), ([4, 3, 2, 1], 2)])
def test_hidden_grids_are_cut_down_to_their_activations_exactly(width, own, generator):
    """Three and a half intervals are left of ten; the end intervals alone reach further."""
    network, grid = kp.KAN(width, degree=4, grid=10, seed=0), 20
    box = kp.Box(**{name: (-1, 1) for name in "xyzt"[: width[0]]})
    surrogate, p = Surrogate(network, box), inside(box, 300, generator)
    channels = Channels(box.names)
    h = network.layers[0](surrogate.coordinates(p, channels))
    for layer in network.layers[1:]:
        low, high = h.value.detach().aminmax(dim=0)
        breaks = low[:, None] + (high - low)[:, None] * (torch.arange(11) - 3.25) / 3.5
        layer.basis = layer.basis.on(breaks)
        layer.randomise(generator)
        h = layer(h)
    before = surrogate.jet(p, Channels(box.names, second="laplacian"))
    assert network.refine(grid, surrogate.inputs_at(p)) == 0.0
    after = surrogate.jet(p, Channels(box.names, second="laplacian"))
    for a, b in zip(after.parts(), before.parts(), strict=True):
        assert reference.distance(a, b) < 1e-10
    h = network.layers[0](surrogate.coordinates(p, channels))
    for layer in network.layers[1:]:
        assert layer.basis.intervals == grid
        low, high = h.value.detach().aminmax(dim=0)
        inner = layer.basis.breaks[:, 1:-1]
        seen = ((inner > low[:, None] - 1e-9) & (inner < high[:, None] + 1e-9)).sum(dim=1)
        assert (seen == grid - 1).all()
        assert (layer.basis.breaks[:, 0] < low).all() and (layer.basis.breaks[:, -1] > high).all()
        assert inner.diff(dim=1).max() < 2 * (high - low).max() / (grid - own)
        h = layer(h)


def test_a_grid_with_one_activation_is_not_cut(generator):
    network, p = kp.KAN([4, 2, 1], degree=3, grid=4, seed=0), torch.zeros(9, 4).double()
    for grid in (4, 8):
        surrogate = Surrogate(network, kp.Box(**{name: (-1, 1) for name in "xyzt"}))
        points = kp.Points(p, tuple("xyzt"))
        before = surrogate(points)
        network.refine(grid, surrogate.inputs_at(points))
        assert (network.layers[1].basis.breaks.diff(dim=1) > 0).all()
        assert reference.distance(surrogate(points), before) < TOLERANCE


@pytest.mark.parametrize("degree", [21, 60, 170])
def test_high_degrees_are_there_until_numbers_overflow(degree):
    network = kp.KAN([1, 1], degree=degree, grid=2)
    torch.nn.init.ones_(network.layers[0].coefficients)
    x = torch.linspace(-1, 1, 41, dtype=torch.float64)[:, None]
    assert (network(x) - 1).abs().max() < 1e-13
    with pytest.raises(
        kp.InputError, match=r"degree 171 on 2 intervals is more than torch\.float64"
    ):
        kp.KAN([1, 1], degree=171, grid=2)
    with pytest.raises(kp.InputError, match=f"degree {degree} on 100.*float32"):
        kp.KAN([1, 1], degree=degree, grid=100, dtype=torch.float32)


@pytest.mark.parametrize("base", [None, "silu"])
def test_a_wide_layer_gives_the_sums_of_its_edges_with_their_gradients(base, generator):
    """Values alone take another way through the layer than values with derivatives."""
    network, found = kp.KAN([2, 12], degree=3, grid=4, base=base), []
    (layer,) = network.layers
    torch.nn.init.normal_(layer.coefficients, generator=generator)
    reference.remove_edge(network, 0, 1, 5)
    x = inside(BOX, 30, generator).coords - 0.5  # some of it outside the grid
    for function in (network, lambda x: layer.edges(x)[:, 0].sum(dim=1)):
        layer.coefficients.grad, at = None, x.clone().requires_grad_()
        value = function(at)
        (slope,) = torch.autograd.grad(value.sin().sum(), at, create_graph=True)
        slope.square().sum().backward()
        found.append((value, slope, layer.coefficients.grad))
    for a, b in zip(*found, strict=True):
        assert reference.distance(a, b) < TOLERANCE


@pytest.mark.parametrize("unit", range(3))
def test_removing_a_unit_takes_its_edges_out_of_the_sum(unit, generator):
    network = kp.KAN([2, 3, 2, 1], degree=5, grid=[2, 3, 4], base="silu", seed=0)
    p = inside(BOX, 20, generator)
    Surrogate(network, BOX).prepare(p)
    silent = kp.KAN([2, 3, 2, 1], degree=5, grid=[2, 3, 4], base="silu")
    silent.load_state_dict(network.state_dict())
    with torch.no_grad():
        silent.layers[1].coefficients[unit] = 0
    network.remove_unit(0, unit)
    assert network.width == (2, 2, 2, 1)
    assert reference.distance(network(p.coords), silent(p.coords)) < TOLERANCE


@pytest.mark.parametrize("base", [None, "silu"])
def test_a_reset_output_layer_is_zero_on_an_even_grid(base, generator):
    network = kp.KAN([2, 3, 1], degree=[3, 5], grid=[1, 4], base=base, seed=0)
    p, layer = inside(BOX, 20, generator), network.layers[1]
    Surrogate(network, BOX).prepare(p)
    network.reset_output(7)
    assert layer.basis.intervals == 7 and layer.basis.size == 12
    even = torch.linspace(-1, 1, 8, dtype=torch.float64).expand(3, -1)
    assert reference.distance(layer.basis.breaks, even) < TOLERANCE
    assert not network(p.coords).any()
    assert network.parameter_count == 2 * (4 + (base is not None)) * 3 + 3 * (
        12 + (base is not None)
    )


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: kp.KAN([2]), "width"),
        (lambda: kp.KAN([2, 0, 1]), "width"),
        (lambda: kp.KAN([2, 4, 1], degree=0), "degree.*got 0"),
        (lambda: kp.KAN([2, 4, 1], grid=[4]), "grid.*2, one per layer"),
        (lambda: kp.KAN([2, 4, 1], grid=0), "grid.*got 0"),
        (lambda: kp.KAN([2, 4, 1], base="relu"), "'relu'"),
        (lambda: kp.MLP([2, 4, 1], "relu"), "'relu'"),
        (lambda: kp.MLP([2, 4, 1], "sine", frequency=0), "frequency must be .*above 0, got 0"),
        (lambda: kp.MLP([2, 4, 1], "tanh", frequency=30), "goes with activation .sine.*tanh"),
        (lambda: kp.KAN([2, 4, 1])(torch.zeros(3, 1).double()), r"\(n, 2\)"),
    ],
)
def test_bad_networks_are_refused_in_words(make, words):
    with pytest.raises(kp.InputError, match=words):
        make()


def exact_surrogate(box, names, data):
    """A KAN with random coefficients behind exact data on the faces with these names."""
    network = kp.KAN([box.dim, 4, 1], degree=5, grid=3, seed=0)
    generator = torch.Generator().manual_seed(0)
    last = network.layers[-1].coefficients
    with torch.no_grad():
        last.copy_(torch.randn(last.shape, generator=generator, dtype=last.dtype))
    faces = box.boundary[names].pieces
    Surrogate(network, box).prepare(everywhere(box))
    return Surrogate(network, box, on_faces(box, {face.side: data for face in faces}))


def smooth(p: Points) -> torch.Tensor:
    return 1 + torch.exp(p.coords.sin().sum(1, keepdim=True)) + p.coords.prod(1, keepdim=True)


BOXES = {
    "line": kp.Box(x=(-1, 2)),
    "rectangle": kp.Box(x=(0, 2), y=(-1, 0.5)),
    "brick": kp.Box(x=(0, 1), y=(-1, 1), z=(2, 5)),
}
FACES = [
    ("line", ("x_min", "x_max")),
    ("line", ("x_max",)),
    ("rectangle", ("x_min", "x_max", "y_min", "y_max")),
    ("rectangle", ("x_min", "y_max")),
    ("rectangle", ("y_min", "y_max")),
    ("rectangle", ("x_min", "x_max", "y_min")),
    ("brick", ("x_min", "x_max", "y_min", "y_max", "z_min", "z_max")),
    ("brick", ("x_max", "z_min", "z_max")),
]


@pytest.mark.parametrize(("shape", "names"), FACES)
def test_boundary_data_hold_exactly_for_any_coefficients(shape, names, generator):
    box = BOXES[shape]
    surrogate = exact_surrogate(box, names, smooth)
    for face in box.boundary.pieces:
        unit = torch.rand(40, face.dim, generator=generator, dtype=torch.float64)
        p = face.image(unit)
        error = (surrogate(p) - smooth(p)).abs().max() / smooth(p).abs().max()
        assert (error < 1e-14) == (face.name in names)


@pytest.mark.parametrize(("shape", "names"), FACES)
def test_the_jet_behind_exact_data_agrees_with_torch_func(shape, names, generator):
    box = BOXES[shape]
    surrogate, p = exact_surrogate(box, names, smooth), inside(box, 5, generator)
    u = surrogate.jet(p, Channels(box.names, second="hessian"))
    network, output = surrogate.network, surrogate.output
    plain, coefficients = reference.plain(network), reference.coefficients_of(network)
    low, high = box.bounds

    def function(x):
        xi = 2 * (x - low) / (high - low) - 1
        sides = [(box.names.index(name[0]), name.endswith("max")) for name in names]
        factor = math.prod(1 - xi[axis] if upper else 1 + xi[axis] for axis, upper in sides)
        extension = output.lift(x[None])[0]
        return extension + factor * plain(coefficients, xi)

    true = reference.jet_of_point(function, p.coords, box.names)
    for found, expected in zip(u.parts(), true.parts(), strict=True):
        assert reference.distance(found, expected) < TOLERANCE


def test_the_extension_sees_boundary_values_only(generator):
    """Every call of the data is at points of the data's own face."""
    box, seen = BOXES["brick"], []

    def data(p: Points) -> torch.Tensor:
        seen.append(p.coords.detach().clone())
        return smooth(p)

    surrogate = exact_surrogate(box, box.boundary.names, data)
    surrogate.jet(inside(box, 6, generator), Channels(box.names, second="laplacian"))
    low, high = box.bounds
    assert seen and all((((c == low) | (c == high)).any(1)).all() for c in seen)


def test_the_extension_is_evaluated_once_for_the_same_points(generator):
    box, calls = BOXES["rectangle"], []
    data = lambda p: calls.append(len(p)) or smooth(p)  # noqa: E731
    surrogate = exact_surrogate(box, box.boundary.names, data)
    p = Batch.made_of(inside(box, 6, generator))
    first = surrogate.jet(p, Channels(box.names, second="laplacian"))
    before = len(calls)
    again = surrogate.jet(p, Channels(box.names, second="laplacian"))
    assert len(calls) == before and torch.equal(first.second, again.second)
    surrogate.jet(p, Channels(box.names, gradient=True))
    assert len(calls) > before


def test_polynomials_on_one_interval_are_smooth_whatever_their_degree():
    """Only the product of the degrees says which derivatives of x → φ(w·x) vanish."""
    assert kp.KAN([2, 3, 1], degree=[1, 3], grid=1).max_order == 3
    assert kp.KAN([2, 3, 1], degree=[1, 3], grid=[2, 1]).max_order == 1
    assert kp.KAN([2, 3, 1], degree=[3, 5], grid=[1, 4]).max_order == 5


# --- removed edges ----------------------------------------------------------------------------

REMOVED = [(0, 1, 2), (0, 0, 0), (1, 2, 1)]


def pruned_and_zeroed(base=None):
    """A KAN without some edges, and the whole one with zeros in their place."""
    networks = [kp.KAN([2, 3, 2, 1], 5, [2, 3, 4], base=base, seed=0) for _ in range(2)]
    pruned, zeroed = networks
    for network in networks:
        Surrogate(network, BOX).prepare(everywhere(BOX))
    for layer, i, o in REMOVED:
        reference.remove_edge(pruned, layer, i, o)
        with torch.no_grad():
            zeroed.layers[layer].coefficients[i, :, o] = 0
    return pruned, zeroed


def absent(network) -> torch.Tensor:
    """Which coefficients belong to no edge."""
    masks = [~layer.kept[:, None].expand_as(layer.coefficients) for layer in network.layers]
    return torch.cat([mask.flatten() for mask in masks])


@pytest.mark.parametrize("base", [None, "silu"])
def test_removed_edges_are_zero_whatever_their_coefficients(base, generator):
    pruned, zeroed = pruned_and_zeroed(base)
    vector = get_coefficients(pruned.layers)
    set_coefficients(pruned.layers, vector + 7.0 * absent(pruned))
    p, channels = inside(BOX, 20, generator), Channels(NAMES, second="hessian")
    jets = [Surrogate(network, BOX).jet(p, channels) for network in (pruned, zeroed)]
    for a, b in zip(*(jet.parts() for jet in jets), strict=True):
        assert torch.equal(a, b)
    assert pruned.parameter_count == zeroed.parameter_count - int(absent(pruned).sum())


@pytest.mark.parametrize("base", [None, "silu"])
def test_gradients_and_jacobians_know_no_removed_edge(base, generator):
    p, found = inside(BOX, 9, generator), []
    for network in pruned_and_zeroed(base):
        surrogate, tape = Surrogate(network, BOX), Tape(list(network.layers))
        kp.laplacian(
            surrogate.jet(p, Channels(NAMES, second="laplacian"))
        ).square().sum().backward()
        gradient = torch.cat([layer.coefficients.grad.flatten() for layer in network.layers])
        with frozen(surrogate):
            u = surrogate.jet(p, Channels(NAMES, second="laplacian"), tape)
        found.append((gradient, tape.jacobian(kp.laplacian(u)[:, 0])))
        mask = absent(network) if len(found) == 1 else mask
    for a, b in zip(*found, strict=True):
        assert not a[..., mask].any() and b[..., mask].any()
        assert torch.equal(a[..., ~mask], b[..., ~mask])


def test_removed_edges_stay_removed(generator):
    network, _ = pruned_and_zeroed()
    surrogate, p = Surrogate(network, BOX), inside(BOX, 30, generator)
    before = surrogate(p)
    assert network.refine([4, 6, 8]) == 0.0
    surrogate.follow(everywhere(BOX))
    assert reference.distance(surrogate(p), before) < TOLERANCE
    kept = [layer.kept.clone() for layer in network.layers]
    network.layers[0].randomise(generator)
    network.layers[0].spread(p.coords, 0.9)
    units = network.layers[0].edges(p.coords)[:, 0].sum(dim=1)
    assert units.amax(0).tolist() == pytest.approx([0.9] * 3)
    assert units.amin(0).tolist() == pytest.approx([-0.9] * 3)
    network.reset_output(5)
    assert all(torch.equal(a, layer.kept) for a, layer in zip(kept, network.layers, strict=True))
    network.remove_unit(0, 1)
    assert torch.equal(network.layers[0].kept, kept[0][:, [0, 2]])
    assert torch.equal(network.layers[1].kept, kept[1][[0, 2]])


def test_a_state_remembers_removed_edges(generator):
    pruned, _ = pruned_and_zeroed()
    x = inside(BOX, 9, generator).coords
    other = kp.KAN([2, 3, 2, 1], 5, seed=1)
    other.load_state_dict(pruned.state_dict())
    assert torch.equal(other(x), pruned(x))
    assert other.parameter_count == pruned.parameter_count


# --- Deep KANs: signals stay in the grids, forwards and backwards, at the start and in training


PLATE = Square.domain
DEEP = [2, 8, 8, 8, 8, 1]
OPTIMIZERS = {
    "adam": kp.Adam(steps=15, lr=1e-2),
    "lbfgs": kp.LBFGS(steps=4, iterations=5),
    "ss_broyden": kp.SSBroyden(steps=25),
    "levenberg_marquardt": kp.LevenbergMarquardt(steps=3),
}


def corners_and_grid(ticks: int = 13) -> Points:
    """A grid that holds the corners."""
    unit = torch.linspace(0, 1, ticks, dtype=torch.float64)
    return PLATE.image(torch.cartesian_prod(unit, unit))


def activations(surrogate: Surrogate, points: Points) -> list[torch.Tensor]:
    """The inputs (n, n_in) of every layer."""
    h, seen = surrogate.coordinates(points, Channels(PLATE.names)), []
    for layer in surrogate.network.layers:
        seen.append(h.value.detach())
        h = layer(h)
    return seen


def in_grids(surrogate: Surrogate, points: Points) -> torch.Tensor:
    """Which points (n,) have all their activations in the grids."""
    ins = [
        ((layer.basis.breaks[:, 0] <= h) & (h <= layer.basis.breaks[:, -1])).all(dim=1)
        for layer, h in zip(
            surrogate.network.layers[1:], activations(surrogate, points)[1:], strict=True
        )
    ]
    return torch.stack(ins).all(dim=0)


def signals(network: kp.KAN, points: Points) -> torch.Tensor:
    """log of the mean variance of ξ and of the mean square of ∂u/∂ξ, (2, hidden layers).

    ξ runs over [-1, 1] on the grid of each unit.
    """
    surrogate = Surrogate(network, PLATE)
    surrogate.prepare(points)
    h = surrogate.coordinates(points, Channels(PLATE.names)).value
    hidden = []
    for layer in network.layers[:-1]:
        h = layer.edges(h)[:, 0].sum(dim=1)
        hidden.append(h)
    u = network.layers[-1].edges(h)[:, 0].sum()
    logs = []
    for layer, h, g in zip(network.layers[1:], hidden, torch.autograd.grad(u, hidden), strict=True):
        half = (layer.basis.breaks[:, -1] - layer.basis.breaks[:, 0]) / 2
        sizes = (h / half).var(dim=0).mean(), (g * half).square().mean()
        logs.append(torch.stack(sizes).detach().log())
    return torch.stack(logs, dim=1)


def test_signals_keep_their_size_through_four_hidden_layers():
    """Of 8 networks the geometric mean; what is left of growth is that of correlated units."""
    networks = [kp.KAN(DEEP, degree=4, grid=2, seed=seed) for seed in range(8)]
    forwards, backwards = torch.stack([signals(n, corners_and_grid()) for n in networks]).mean(
        dim=0
    )
    assert float(forwards.max() - forwards.min()) < math.log(1.5)
    assert float(backwards.diff().abs().max()) < math.log(2)
    assert float(backwards.max() - backwards.min()) < math.log(4)


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_all_activations_are_in_the_grids_before_and_after_training(optimizer):
    network = kp.KAN([2, 5, 5, 1], degree=4, grid=2, seed=1)
    surrogate = Surrogate(network, PLATE)
    interior, boundary = PLATE.quadrature(10)[0], PLATE.boundary.quadrature(10)[0]
    points = Points(torch.cat([interior.coords, boundary.coords]), PLATE.names)
    surrogate.prepare(points)
    assert bool(in_grids(surrogate, points).all())
    terms = terms_at(Square(), surrogate, interior, [boundary], {"interior": 1.0, "boundary": 1.0})
    residuals = Residuals(surrogate, terms)
    before, grids = residuals.loss(), [layer.basis.breaks.clone() for layer in network.layers[1:]]
    stage = optimizer.start(residuals, 0)
    for _ in range(optimizer.steps):
        stage.step()
    assert residuals.loss() < 0.9 * before
    assert any(
        not torch.equal(a, b.basis.breaks) for a, b in zip(grids, network.layers[1:], strict=True)
    )
    assert bool(in_grids(surrogate, points).all())


def test_grids_that_follow_leave_what_was_in_them_as_it_was():
    network = kp.KAN([2, 6, 6, 1], degree=5, grid=[2, 3, 4], seed=2)
    surrogate, points = Surrogate(network, PLATE), corners_and_grid()
    hessian = Channels(PLATE.names, second="hessian")
    surrogate.prepare(corners_and_grid(4))
    start = surrogate(points)
    surrogate.follow(corners_and_grid(4))
    assert torch.equal(surrogate(points), start)  # nothing to follow
    with torch.no_grad():
        for layer in network.layers[:-1]:
            layer.coefficients.mul_(1.1)
    stayed, before = in_grids(surrogate, points), surrogate.jet(points, hessian)
    assert 0.1 < float(stayed.double().mean()) < 0.9
    surrogate.follow(points)
    assert bool(in_grids(surrogate, points).all())
    after = surrogate.jet(points, hessian)
    for a, b in zip(after.parts(), before.parts(), strict=True):
        assert reference.distance(a[stayed], b[stayed]) < TOLERANCE


@pytest.mark.parametrize("basis", ["spline", "chebyshev"])
@pytest.mark.parametrize("grid", [3, 5])
def test_a_loaded_network_has_the_precision_and_the_grid_of_the_saved_one(basis, grid):
    saved = kp.KAN([2, 8, 1], basis=basis, grid=grid, dtype=torch.float64)
    x = torch.rand(5, 2, dtype=torch.float64)
    wanted = saved(x)
    for dtype in (torch.float32, torch.float64):
        network = kp.KAN([2, 8, 1], basis=basis, grid=3, dtype=dtype)
        network.load_state_dict(saved.state_dict())
        assert torch.equal(network(x), wanted)


def test_a_network_whose_layers_have_other_sizes_is_not_loaded():
    with pytest.raises(RuntimeError, match="size mismatch"):
        kp.MLP([2, 8, 1]).load_state_dict(kp.MLP([3, 16, 2]).state_dict())
