"""Invariants of evolutions: their values, outflow through walls, drifts, run folders, bad input."""

import inspect
import math

import commands
import h5py
import library
import pytest

import kanpinn as kp

CLASSES = {"wave": ("Wave", 1e-7), "kdv": ("KdV", 1e-6), "schroedinger": ("Schroedinger", 1e-3)}


class Top(kp.Problem):
    """Euler's equations of a rigid body, whose energy and angular momentum are quadratic."""

    domain = kp.Box(t=(0, 10))
    fields = ("a", "b", "c")

    def residual(self, p, a, b, c):
        pairs = (b.value * c.value, c.value * a.value, a.value * b.value)
        rates = (1 / 3, -1.0, 1.0)
        both = zip((a, b, c), rates, pairs, strict=True)
        return tuple(kp.partial(u, "t") - rate * pair for u, rate, pair in both)

    def conditions(self):
        start = zip(self.fields, (1.0, 0.1, 0.8), strict=True)
        return [kp.Initial(self.domain, value, field=name) for name, value in start]

    def invariants(self, p, a, b, c):
        squares = [u.value**2 for u in (a, b, c)]
        return {
            "energy": sum(i * s for i, s in zip((3, 2, 1), squares, strict=True)) / 2,
            "momentum": sum(i**2 * s for i, s in zip((3, 2, 1), squares, strict=True)),
        }


def solved(problem, tolerance, **settings):
    network = kp.Windows([problem.domain.dim, len(problem.fields)])
    march = kp.March(tolerance, **settings)
    return kp.solve(problem, network, march, verified=False, errors=False)


def test_gauss_collocation_keeps_quadratic_invariants_to_rounding():
    drifts = {
        scheme: solved(Top(), 1e-4, scheme=scheme).invariants for scheme in ("gauss", "radau")
    }
    for name in ("energy", "momentum"):
        assert drifts["gauss"][name].relative_drift < 1e-13
        assert drifts["radau"][name].relative_drift > 1e-7


@pytest.mark.parametrize("name", CLASSES)
def test_what_the_library_says_is_conserved_is(name):
    kind, allowed = CLASSES[name]
    problem = library.class_of(name, kind)()
    low, high = (float(corner[-1]) for corner in problem.domain.bounds)

    class Short(type(problem)):
        domain = kp.Box(
            **{problem.domain.names[0]: problem.domain.ranges[0][1:]},
            t=(low, low + (high - low) / 16),
        )

    found = solved(Short(), allowed / 10).invariants
    assert found and all(len(one.times) == len(one.values) > 2 for one in found.values())
    assert max(one.relative_drift for one in found.values()) < allowed


def test_what_flows_through_walls_is_added():
    """Without it the solitons' tails, 1e-4 of the mass, would count as an error."""
    kind = library.class_of("kdv", "KdV")

    class Without(kind):
        domain = kp.Box(x=(-10, 10), t=(-1, -0.95))
        outflow = None

    class With(Without):
        outflow = kind.outflow

    without, found = (solved(problem(), 1e-8).invariants["mass"] for problem in (Without, With))
    assert without.relative_drift > 1e-6 > 100 * found.relative_drift
    assert found.values[0] == without.values[0]


def test_other_networks_have_invariants_too():
    problem = library.class_of("wave", "Wave")()
    network = kp.KAN([2, 32, 1], degree=9, grid=[4, 6], seed=0)
    energy = kp.solve(problem, network, points=kp.Collocation(900, 120)).invariants["energy"]
    assert energy.values[0] == pytest.approx(5 * math.pi**2, rel=1e-3)
    assert 0 < energy.relative_drift < 1e-2 and len(energy.times) == 33


def test_problems_without_invariants():
    class Silent(Top):
        invariants = None

    solution = kp.solve(Silent(), kp.Windows([1, 3]), kp.March(1e-2), errors=False)
    assert solution.invariants == {}


def test_an_integral_that_is_always_zero_does_not_drift():
    class Still(Top):
        def invariants(self, p, a, b, c):
            return {"nothing": 0 * a.value}

    assert solved(Still(), 1e-3).invariants["nothing"].relative_drift == 0


FILE = """
[problem]
class = "top.py:Top"

[network]
type = "windows"
width = [1, 3]

[[optimizer]]
type = "march"
tolerance = 1e-4
"""


def test_run_folders_tables_and_figures(tmp_path):
    (tmp_path / "top.py").write_text("import kanpinn as kp\n\n\n" + inspect.getsource(Top))
    done, folder, record = commands.solved(tmp_path / "top.toml", FILE)
    assert done.exit_code == 0 and "drift of energy" in done.output
    record = record["invariants"]
    with h5py.File(folder / "result.h5") as file:
        group = file["invariants"]
        times, energy = group["t"][:], group["energy"][:]
        assert group["energy"].dims[0].label == "t"
    assert times[0] == 0 and times[-1] == 10 and len(times) == len(energy)
    assert record["energy"]["first"] == energy[0]
    assert record["energy"]["drift"] == abs(energy - energy[0]).max()
    assert (folder / "figures" / "drifts.png").stat().st_size > 5000
    again = kp.load(folder).invariants["energy"]
    assert again.values.tolist() == energy.tolist()


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ({"invariants": lambda self, p, a: {}}, r"must take points and a jet for each field"),
        ({"invariants": lambda self, p, a, b, c: a.value}, r"must return a dict from names"),
        (
            {"invariants": lambda self, p, a, b, c: {"energy": a.value[:, 0]}},
            r"Other.invariants\['energy'\] must have shape \(n, 1\)",
        ),
        (
            {"outflow": lambda self, p, a, b, c: {"heat": a.value}},
            "'heat', which is none of the invariants energy, momentum",
        ),
        (
            {"invariants": None, "outflow": lambda self, p, a, b, c: {"heat": a.value}},
            r"has outflow\(p, …\), .* but no invariants",
        ),
    ],
)
def test_other_methods_are_refused(methods, message):
    with pytest.raises(kp.InputError, match=message):
        solved(type("Other", (Top,), methods)(), 1e-3)
