"""Domains of every kind, for the tests that hold for all of them, and the divergence theorem."""

import math

import torch
import trimesh
from torch import Tensor

from kanpinn.geometry import (
    Annulus,
    Ball,
    Box,
    Disk,
    Domain,
    Ellipse,
    LShape,
    Polygon,
    Sector,
    Surface,
    Triangle,
)
from kanpinn.geometry.combination import combine

PI = math.pi


def cube(low: float, high: float) -> Box:
    return Box(x=(low, high), y=(low, high), z=(low, high))


def surface(mesh: trimesh.Trimesh, **options: float) -> Surface:
    return Surface(mesh.vertices, mesh.faces, **options)


SQUARE, UNIT = Box(x=(-1, 1), y=(-1, 1)), Box(x=(0, 1), y=(0, 1))
BALL, OTHER = Ball((0, 0, 0), 1), Ball((0.3, 0.8, 0.4), 0.7, name="other")
FICHERA = cube(-1, 1) - cube(0, 1)
CUT = cube(-1, 1) - Ball((0.9, 0, 0), 0.6, name="hole")
BRICK = surface(trimesh.creation.box((1, 2, 3)), sharp=30)
TILTED = trimesh.creation.box((2, 2, 2))
TILTED.apply_transform(trimesh.transformations.rotation_matrix(0.7, (1, 2, 3)))

PLANAR = {
    "disk": Disk((0.1, 0.2), 0.7),
    "ellipse": Ellipse((0.3, -0.2), (1.5, 0.4), 0.7),
    "needle": Ellipse((0.3, -0.2), (0.05, 1.5), 0.7),
    "annulus": Annulus((1, 0), 0.3, 1),
    "sector": Sector((0, 0), 2, 0, PI / 2),
    "half annulus": Sector((0.1, 0), 1, 0.3, 0.3 + PI, 0.5),
    "wide sector": Sector((0.1, 0), 1, 0.3, 5, 0.4),
    "triangle": Triangle((0, 0), (0, 3), (4, 0)),
    "l-shape": LShape(),
    "comb": Polygon(
        [(0, 0), (3, 0), (3, 2), (2, 2), (2, 1), (1, 1), (1, 2), (0, 2)],
        holes=[[(0.2, 0.2), (0.7, 0.2), (0.2, 0.6)]],
    ),
    "concentric disks": Disk((0, 0), 1) - Disk((0, 0), 0.3, name="hole"),
    "eccentric disks": Disk((0, 0), 1) - Disk((0.2, 0.1), 0.3, name="hole"),
    "disk inside a box": SQUARE - Disk((0.1, 0.2), 0.5),
    "disk through a side": UNIT - Disk((1, 0.5), 0.3),
    "disk or box": Disk((0.1, 0.2), 0.7) | UNIT,
    "disk and box": Disk((0.1, 0.2), 0.7) & UNIT,
    "box minus box": SQUARE - UNIT,
    "boxes side by side": UNIT | Box(x=(1, 2), y=(0, 1)),
    "stadium": Box(x=(0, 2), y=(-0.5, 0.5)) | Disk((0, 0), 0.5) | Disk((2, 0), 0.5),
    "three": (SQUARE - UNIT) - Disk((-0.3, -0.3), 0.35),
    "ellipses": Ellipse((0, 0), (1, 0.3), 0.5) | Ellipse((0, 0), (1, 0.3), 2.0),
    "half disk on a box": Sector((0, 0), 1, 0, PI) | Box(x=(-1, 1), y=(-1, 0)),
    "kissing disks": Disk((0, 0), 1) | Disk((2, 0), 1),
    "crescent": Disk((0, 0), 1) - Disk((0.5, 0), 0.5),
    "lens of disks": Disk((0, 0), 1) & Disk((1, 0), 1),
    "two parts": Box(x=(0, 3), y=(0, 1)) - Box(x=(1, 2), y=(-1, 2)),
    "nearly a disk": Disk((0, 0), 1) - Box(x=(-2, 2), y=(1 - 1e-6, 2)),
    "three quarters of a ring": Sector((-0.25, 0.25), 1, PI, 2.5 * PI, 0.25)
    - Ellipse((0, 0.25), (0.25, 0.25), PI / 4),
    "ring of two names": Box(r=(-1, 1), z=(-1, 1)) - Disk((0, 0), 0.5, names=("r", "z")),
}
EXACT = {  # rules of four nodes are exact for polynomials of degree 7
    "interval": Box(t=(0.1, 0.7)),
    "rectangle": Box(x=(-1, 1), y=(0, 3)),
    "box": Box(x=(0, 1), y=(-2, 2), z=(0.5, 0.75)),
    "box in 5-D": Box(**{f"x{i}": (-i, 1) for i in range(5)}),
    "ball": Ball((0.1, -0.2, 0.3), 0.7),
    "ball in 4-D": Ball((0.1, 0, 0, 0.3), 0.7),
    "ball in 5-D": Ball((0.1, 0, 0, 0, 0.3), 1.2),
    "fichera": FICHERA,
    "touching boxes": cube(0, 1) | Box(x=(1, 2), y=(0, 1), z=(0, 0.5)),
    "three boxes": (cube(0, 1) | cube(0.5, 2)) - Box(x=(0, 3), y=(0.2, 0.7), z=(0.1, 3)),
    "boxes in 4-D": combine(
        "difference",
        Box(a=(0, 1), b=(0, 1), c=(0, 1), d=(0, 1)),
        Box(a=(0.5, 2), b=(-1, 0.5), c=(0.2, 0.3), d=(-1, 2)),
    ),
    "box × time": Box(x=(-1, 1), y=(0, 1)).over(t=(1, 3)),
    "ball × time": Ball((0, 0, 1), 0.5).over(t=(0, 2)),
    "fichera × time": FICHERA.over(t=(0, 0.5)),
}
ROUND = {  # rules converge geometrically
    "union of balls": BALL | OTHER,
    "difference of balls": BALL - OTHER,
    "lens": BALL & OTHER,
    "shell": BALL - Ball((0, 0, 0), 0.4, name="hole"),
    "eccentric shell": BALL - Ball((0.1, 0.2, 0.3), 0.4, name="hole"),
    "box without ball": cube(-1, 1) - Ball((0.2, 0.1, 0.6), 0.3, name="hole"),
    "ball without box": BALL - Box(x=(-0.3, 0.6), y=(-0.2, 0.2), z=(0, 0.5)),
    "box cut by ball": CUT,
    "ball cut by box": cube(-1, 1) & Ball((0.9, 0, 0), 0.6),
    "half a ball": Box(x=(0, 2), y=(-2, 2), z=(-2, 2)) & BALL,
    "eighth of a ball": cube(0, 2) & BALL,
    "box or ball": cube(-1, 1) | Ball((0.9, 0, 0), 0.6),
    "two holes": CUT - Ball((-0.5, 0, 0), 0.3, name="second"),
    "dome": Ball((0.9, 0, 0), 0.6) - cube(-1, 1),
    "three balls": (BALL | OTHER) - Ball((0.5, -0.4, 0.6), 0.5, name="bite"),
    "fichera and ball": FICHERA & Ball((0.2, -0.1, 0.1), 1.1),
}
TOUCHING = {
    "ball in a cube": cube(-1, 1) - Ball((0, 0, 0), 1, name="hole"),
    "half a ball in half a cube": Box(x=(-1, 1), y=(-1, 1), z=(0, 1)) & BALL,
    "half a ball off a face": cube(-1, 1) - Ball((1, 0, 0), 1),
    "touching balls": BALL | Ball((2, 0, 0), 1, name="other"),
    "cube in a ball": Ball((0, 0, 0), 3**0.5) - cube(-1, 1),
    "twins": Ball((0, 0, -0.5), 1) | Ball((0, 0, 0.5), 1, name="other"),
    "cube with round corners": cube(-1, 1) & Ball((0.1, 0, 0.05), 1.5),
    "corners of a cube": cube(-1, 1) - Ball((0, 0.1, 0), 1.45),
}
SAMPLED = {  # rules are quasi-random
    "torus": surface(trimesh.creation.torus(1, 0.3, major_sections=24, minor_sections=12)),
}
SURFACES = {"brick of triangles": BRICK, "icosphere": surface(trimesh.creation.icosphere(2))}
ALL = PLANAR | EXACT | ROUND | SAMPLED | SURFACES | {"cut × time": CUT.over(t=(0, 1))}


def uniform(n: int, dim: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, dim, dtype=torch.float64, generator=generator)


def polynomial(x: Tensor) -> tuple[Tensor, Tensor]:
    """F_i = x_i² s, s = Σ_j x_j, and its divergence."""
    s = x.sum(dim=1, keepdim=True)
    return x**2 * s, 2 * s[:, 0] ** 2 + x.square().sum(dim=1)


def smooth(x: Tensor) -> tuple[Tensor, Tensor]:
    """F_i = sin(x_i + s), and its divergence."""
    angles = x + x.sum(dim=1, keepdim=True)
    return angles.sin(), 2 * angles.cos().sum(dim=1)


def flux_defect(domain: Domain, nodes: int, field=polynomial) -> float:
    """∫ div F - ∮ F·n over the larger of ∫ |div F| and the measure."""
    inside, volume = domain.quadrature(nodes)
    around, area = domain.boundary.quadrature(nodes)
    divergence = field(inside.coords)[1]
    flux = area @ (field(around.coords)[0] * around.normals).sum(dim=1)
    size = max(float(volume @ divergence.abs()), domain.measure)
    return abs(float(volume @ divergence - flux)) / size
