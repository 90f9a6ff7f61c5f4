"""The residual module: loss, gradient and Jacobian of a problem's weighted terms."""

import pytest
import reference
import torch
from cases import Coupled, Cubic, Line, Square, terms_at

import kanpinn as kp
from kanpinn.geometry import Points
from kanpinn.geometry.sampling import sample
from kanpinn.jets import Channels
from kanpinn.loss.parameters import likeness_of_neighbours
from kanpinn.loss.residuals import Residuals
from kanpinn.loss.terms import residual_term
from kanpinn.networks import KAN, Surrogate
from kanpinn.networks.constraints import on_faces
from kanpinn.networks.kan import KANLayer
from kanpinn.pde.boundary_value_problem import altered

WEIGHTS = {"interior": 0.01, "boundary": 2.0}
NETWORKS = {
    "kan": lambda d, m: kp.KAN([d, 3, m], degree=5, grid=3, seed=1),
    "kan with base": lambda d, m: kp.KAN([d, 3, m], degree=4, grid=2, base="silu", seed=2),
    "deep kan": lambda d, m: kp.KAN([d, 2, 2, m], degree=5, grid=2, seed=3),
    "tanh": lambda d, m: kp.MLP([d, 4, 3, m], "tanh", seed=4),
}


def residuals_of(problem, make, n=30, exact=False) -> Residuals:
    """Penalty residuals, or those of a surrogate with the data of `Square` built in."""
    network, box = make(problem.domain.dim, len(problem.fields)), problem.domain
    (condition,) = problem.conditions()
    output = on_faces(box, {face.side: condition.target for face in box.boundary.pieces})
    surrogate = Surrogate(network, box, output if exact else None)
    generator = torch.Generator().manual_seed(0)
    interior = sample(box, n, "uniform", generator)
    boundary = sample(box.boundary, n // 3, "uniform", generator)
    seen = [p.coords for p in (box.quadrature(9)[0], interior, boundary)]
    surrogate.prepare(Points(torch.cat(seen), box.names))
    if exact:
        boundary = boundary[:0]
    return Residuals(surrogate, terms_at(problem, surrogate, interior, [boundary], WEIGHTS))


def dense(residuals: Residuals, layers=None):
    """The whole Jacobian and residual."""
    layers = list(residuals.surrogate.network.layers) if layers is None else layers
    rows = list(residuals.rows(layers))
    return torch.cat([j for j, _ in rows]), torch.cat([r for _, r in rows])


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("problem", [Line, Cubic, Square, Coupled])
def test_rows_agree_with_torch_func(problem, make):
    residuals = residuals_of(problem(), make, n=9)
    for found, true in zip(dense(residuals), reference.rows_by_torch_func(residuals), strict=True):
        assert reference.distance(found, true) < 1e-12


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
def test_rows_behind_exact_data_agree_with_torch_func(make):
    residuals = residuals_of(Square(), make, n=9, exact=True)
    true = reference.rows_by_torch_func(
        residuals,
        # The data are linear, and so is their transfinite interpolation.
        extension=lambda x: (1 + x[0] - 2 * x[1])[None],
        factor=lambda xi: (1 - xi[0] ** 2) * (1 - xi[1] ** 2),
    )
    for found, expected in zip(dense(residuals), true, strict=True):
        assert reference.distance(found, expected) < 1e-12


@pytest.mark.parametrize("problem", [Square, Coupled])
def test_the_loss_is_the_weighted_sum_of_mean_squares(problem):
    residuals = residuals_of(problem(), NETWORKS["kan"])
    surrogate, problem = residuals.surrogate, problem()
    interior, boundary = (term.points for term in residuals.terms)
    u = surrogate.jet(interior, Channels(interior.names, second="hessian"))
    columns = problem.equation(interior, u).detach()
    data = surrogate(boundary) - problem.conditions()[0].target(boundary)
    terms = {
        "interior": float(columns.square().sum() / len(interior)),
        "boundary": float(data.square().sum() / len(boundary)),
    }
    assert residuals.term_values() == pytest.approx(terms, rel=1e-12)
    loss = 0.01 * terms["interior"] + 2 * terms["boundary"]
    assert residuals.loss() == pytest.approx(loss, rel=1e-12)
    _, r = dense(residuals)
    assert float(r @ r) == pytest.approx(loss, rel=1e-12)


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("problem", [Cubic, Coupled])
def test_the_gradient_of_the_loss_is_twice_the_jacobian_times_the_residual(problem, make):
    residuals = residuals_of(problem(), make)
    assert residuals.backward() == pytest.approx(residuals.loss(), rel=1e-12)
    layers = residuals.surrogate.network.layers
    gradient = torch.cat([layer.coefficients.grad.flatten() for layer in layers])
    jacobian, r = dense(residuals)
    assert reference.distance(gradient, 2 * jacobian.T @ r) < 1e-12


def test_chunks_change_nothing_but_rounding(monkeypatch):
    whole = residuals_of(Coupled(), NETWORKS["kan"], n=1000)
    assert [len(whole.batches(term)) for term in whole.terms] == [1, 1]
    loss, (jacobian, r) = whole.loss(), dense(whole)
    monkeypatch.setattr(Residuals, "most_entries", 1)  # the smallest batches: 256 points
    parts = residuals_of(Coupled(), NETWORKS["kan"], n=1000)
    assert [len(parts.batches(term)) for term in parts.terms] == [4, 2]
    assert parts.loss() == pytest.approx(loss, rel=1e-13)
    chunked, s = dense(parts)
    assert chunked.shape == jacobian.shape
    gram = torch.linalg.norm(chunked.T @ chunked - jacobian.T @ jacobian)
    assert gram < 1e-12 * torch.linalg.norm(jacobian.T @ jacobian)
    assert float(s @ s) == pytest.approx(float(r @ r), rel=1e-13)


def test_the_output_layer_has_the_last_columns():
    residuals = residuals_of(Square(), NETWORKS["deep kan"])
    full, _ = dense(residuals)
    last, _ = dense(residuals, [residuals.surrogate.network.layers[-1]])
    assert reference.distance(last, full[:, -last.shape[1] :]) < 1e-14


def test_a_derived_source_is_evaluated_once_for_each_chunk():
    calls = []

    class Counted(Line):
        def exact(self, p):
            calls.append(len(p))
            return super().exact(p)

    residuals = residuals_of(Counted(), NETWORKS["kan"])
    residuals.loss()
    before = len(calls)
    residuals.loss()
    dense(residuals)
    assert [n for n in calls[before:] if n == 30] == []


def test_a_row_of_many_points_takes_no_more_memory_than_a_batch_of_rows(monkeypatch):
    square = kp.Box(x=(-1, 1), y=(-1, 1))
    mean = kp.Integral(square, 1.0)
    surrogate = Surrogate(kp.KAN([2, 1400, 1], degree=2, grid=2), square)
    network, most = surrogate.network, 2**23
    evaluated, entries, jet = [], [], KAN.jet
    write = KANLayer.jacobian

    def noted(self, coordinates, tape=None):
        evaluated.append(len(coordinates.value))
        return jet(self, coordinates, tape)

    def written(self, known, delta, out):
        entries.append(out.numel())
        write(self, known, delta, out)

    monkeypatch.setattr(KAN, "jet", noted)
    monkeypatch.setattr(KANLayer, "jacobian", written)
    mean = altered(mean, all_fields=("u",))
    points = mean.points(kp.Collocation(1, 1), 1.0, torch.Generator())
    # Five rows are tried at once, 5120 points.
    term = residual_term("mean", mean.stacked_residual, points, surrogate, "mean", sites=mean.sites)
    assert max(evaluated) * 2 * 1400 <= most
    ((jacobian, residual),) = Residuals(surrogate, [term]).rows(network.all_layers)
    assert len(entries) > 2 and max(entries) <= most
    value = term.residual(surrogate, points).squeeze()
    expected = torch.autograd.grad(value, [layer.coefficients for layer in network.all_layers])
    assert torch.equal(residual, value.detach()[None])
    assert (jacobian[0] - torch.cat([g.flatten() for g in expected])).abs().max() < 1e-13
    with torch.no_grad():
        assert torch.allclose(term.residual(surrogate, points), value, rtol=1e-13, atol=0)


# --- Misfits of neighbours are alike if they vary smoothly, and independent if they are noise


@pytest.mark.parametrize("d", [1, 2, 3])
def test_the_likeness_of_noise_has_mean_zero_and_deviation_one(d, generator):
    found = []
    for _ in range(200):
        places = torch.rand(80, d, generator=generator, dtype=torch.float64)
        noise = torch.randn(80, 2, generator=generator, dtype=torch.float64)
        found.append(likeness_of_neighbours(places, noise))
    found = torch.tensor(found)
    assert abs(found.mean()) < 0.25 and 0.8 < found.std() < 1.2
    assert likeness_of_neighbours(places, torch.sin(6 * places.sum(dim=1, keepdim=True))) > 4
    assert likeness_of_neighbours(places, torch.zeros(80, 1, dtype=torch.float64)) == 0
    twice = torch.cat([places, places])
    assert abs(likeness_of_neighbours(twice, torch.cat([noise, -noise.flip(0)]))) < 4
