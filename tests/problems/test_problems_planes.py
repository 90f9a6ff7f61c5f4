"""The evolutions in two dimensions: the classes, their references, and marches over short times."""

import dataclasses
from pathlib import Path
from types import ModuleType

import h5py
import library
import numpy
import pytest
import torch

import kanpinn as kp
from kanpinn.geometry import Points
from kanpinn.jets import Channels, jet_of

ROOT = Path(__file__).parents[2]
NAMES = ("x", "y", "t")
F = torch.float64
CLASSES = {"allen_cahn2d": "AllenCahn2D", "gray_scott": "GrayScott"}


@pytest.fixture
def plane() -> ModuleType:
    return library.script("make_references")


@pytest.mark.parametrize("name", CLASSES)
def test_the_classes_state_what_the_references_solve(plane, name):
    """For a wave with wave number π (1, 2), the residual with u_t = 0 is -(L u + N(u))."""
    problem, case = library.class_of(name, CLASSES[name])(), plane.PLANE_CASES[name]()
    coords = 2 * torch.rand(50, 3, generator=torch.Generator().manual_seed(0), dtype=F) - 1
    factors = torch.tensor([0.3, 0.7], dtype=F)[: len(case.fields)]

    def wave(x: torch.Tensor) -> torch.Tensor:
        return torch.sin(torch.pi * (x[:, :1] + 2 * x[:, 1:2])) * factors

    jet = jet_of(wave, coords, Channels(NAMES, second="diagonal"))
    points = Points(coords, NAMES)
    found = problem.residual(points, *(jet[f] for f in range(len(case.fields))))
    residual = torch.cat(found, dim=1) if isinstance(found, tuple) else found
    u = wave(coords).T.numpy()
    linear = case.linear(numpy.array([5 * numpy.pi**2]))  # (m, 1)
    right = linear * u + case.nonlinear(u)
    assert abs(residual.T.numpy() + right).max() < 1e-9 * abs(right).max()
    start = problem.initial(Points(coords, NAMES)).T.numpy()
    assert abs(start - case.initial(*coords[:, :2].T.numpy())).max() < 1e-14


def test_a_reference_file_is_near_a_coarser_solution(plane):
    case = dataclasses.replace(plane.allen_cahn2d(), modes=64, step=5e-4)
    found = plane.solve_plane(case)["u"]
    with h5py.File(ROOT / "problems" / "allen_cahn2d.h5") as file:
        kept, weights = file["u"][:], file["weight"][:]
    error = (weights * (found - kept) ** 2).sum() / (weights * kept**2).sum()
    assert error**0.5 < 1e-3


def test_a_march_comes_to_a_reference(plane):
    """Gray and Scott's equations over a short time."""

    class Soon(library.class_of("gray_scott", "GrayScott")):
        domain = kp.Box(x=(-1, 1), y=(-1, 1), t=(0, 0.01))

        def reference(self):
            return None

    case = dataclasses.replace(plane.gray_scott(), modes=64, step=1e-4, end=0.01, times=2)
    exact = plane.solve_plane(case)
    network = kp.Windows([3, 2], degree=5, grid=20)
    solution = kp.solve(Soon(), network, kp.March(1e-3), errors=False, verified=False)
    line = torch.linspace(-1, 1, case.points + 1, dtype=F)[:-1]
    times = torch.from_numpy(case.rule()[0])
    grid = torch.stack(torch.meshgrid(line, line, times, indexing="ij"), dim=-1)
    values = solution(grid.reshape(-1, 3)).reshape(*grid.shape[:-1], 2).numpy()
    kept = numpy.stack([exact["u"], exact["v"]], axis=-1)
    assert numpy.linalg.norm(values - kept) < 3e-3 * numpy.linalg.norm(kept)
