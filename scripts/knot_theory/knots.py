"""The knots, with 17 geometric invariants and the signature each; read from files or made up."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

import kanpinn as kp

# As in DeepMind's table, misspellings included.
LONGITUDE, IMAGINARY, REAL = (
    "longitudinal_translation",
    "meridinal_translation_imag",
    "meridinal_translation_real",
)
TRANSLATIONS = (LONGITUDE, IMAGINARY, REAL)
SYMMETRIES = ("0", "D3", "D4", "D6", "D8", "Z/2 + Z/2")
FEATURES = (
    "chern_simons",
    "cusp_volume",
    "hyperbolic_adjoint_torsion_degree",
    "hyperbolic_torsion_degree",
    "injectivity_radius",
    *TRANSLATIONS,
    "short_geodesic_imag_part",
    "short_geodesic_real_part",
    *(f"Symmetry_{group}" for group in SYMMETRIES),
    "volume",
)
TARGET = "signature"
FILES = ("train.csv", "test.csv")
DIGITS = 4  # after the point: what tells one knot's geometry from another's


@dataclass(frozen=True)
class Knots:
    """Rows of invariants with the signatures as classes; synthetic: whether they are made up."""

    table: kp.Table
    synthetic: bool = False

    @property
    def digest(self) -> str:
        """A digest of all rows."""
        rows = self.table.inputs.numpy().tobytes() + self.table.targets.numpy().tobytes()
        return hashlib.sha256(rows).hexdigest()[:12]

    def row(self, number: str) -> dict[str, float]:
        """Return the columns of one row by their names, the signature last."""
        i = int(number)
        inputs = dict(zip(FEATURES, self.table.inputs[i].tolist(), strict=True))
        return inputs | {TARGET: float(self.signatures[i])}

    @property
    def signatures(self) -> Tensor:
        """The signatures (n,), even numbers."""
        return torch.tensor([float(c) for c in self.table.classes])[self.table.targets]

    @property
    def groups(self) -> Tensor:
        """Numbers (n, 4) that are equal for a knot and its mirror image."""
        x = self.table.column
        rows = torch.stack([x("volume"), x(LONGITUDE), x(REAL).abs(), x(IMAGINARY)], dim=1)
        return (rows * 10**DIGITS).round()

    @property
    def slope(self) -> Tensor:
        """The slope Re(λ/μ), (n,)."""
        return slope_of(*(self.table.column(name) for name in TRANSLATIONS))

    def rows(self, seed: int, grouped: bool, validation: float = 0.0) -> dict[str, Tensor]:
        """Return the numbers of each part's rows, of which a fifth is the test part.

        grouped: the parts consist of whole groups. The test part does not depend on how many rows
        are for validation.
        """
        groups = self.groups if grouped else None
        rows = torch.arange(len(self.table), dtype=torch.float64)[:, None]
        numbered = kp.Data.split(kp.Table(rows, rows), validation, 0.2, seed=seed, groups=groups)
        return {name: part.targets[:, 0].long() for name, part in numbered.parts.items()}

    def split(self, seed: int, grouped: bool, validation: float = 0.0) -> kp.Data:
        """Return the parts with these rows, without inputs that the training part has constant."""
        chosen = self.rows(seed, grouped, validation)
        names = varying(self.table[chosen["train"]])
        return kp.Data(**{part: self.table[i].only(names) for part, i in chosen.items()})

    def leak(self, seed: int) -> float:
        """Return the share of a random split's test rows whose group occurs in the training part.

        The groups include mirror images, which have the opposite signature.
        """
        rows, place = self.rows(seed, grouped=False), self.groups.unique(dim=0, return_inverse=True)
        return float(torch.isin(place[1][rows["test"]], place[1][rows["train"]]).double().mean())


def slope_of(longitude: Tensor, imaginary: Tensor, real: Tensor) -> Tensor:
    """Return Re(λ/μ) = λ μ_r / (μ_r² + μ_i²), as λ is real."""
    return longitude * real / (real.square() + imaginary.square())


def knots_of(inputs: Tensor, signatures: Tensor, synthetic: bool = False) -> Knots:
    """Return the knots with rows (n, 17) in the order of `FEATURES` and signatures (n,)."""
    values, targets = torch.unique(signatures, return_inverse=True)
    classes = tuple(str(int(value)) for value in values)
    return Knots(kp.Table(inputs, targets, FEATURES, (TARGET,), classes), synthetic)


def read_knots(folder: Path) -> Knots:
    """Read train.csv and test.csv in a folder, and return all their rows together.

    Raises:
        InputError: if a file or one of its columns is missing.
    """
    tables = [kp.Table.read(folder / name, FEATURES, TARGET) for name in FILES]
    inputs = torch.cat([table.inputs for table in tables])
    return knots_of(inputs, torch.cat([table.targets[:, 0] for table in tables]))


def synthetic_knots(count: int, seed: int = 0) -> Knots:
    """Return numbers with the ranges of knots and one law: signature ≈ 2 round(slope / 4)."""
    generator = torch.Generator().manual_seed(seed)
    columns = {name: torch.rand(count, generator=generator) for name in FEATURES}
    columns[REAL] = 4 * columns[REAL] - 2
    columns[IMAGINARY] = 0.4 + 1.2 * columns[IMAGINARY]
    columns[LONGITUDE] = 5 + 20 * columns[LONGITUDE]
    columns["cusp_volume"] = columns[LONGITUDE] * columns[IMAGINARY]
    columns["volume"] = 2 + 25 * columns["volume"]
    columns["injectivity_radius"] = columns["short_geodesic_real_part"] / 2
    for group in SYMMETRIES:
        columns[f"Symmetry_{group}"] = columns[f"Symmetry_{group}"].round()
    noise = 0.5 * torch.randn(count, generator=generator)
    slope = slope_of(*(columns[name] for name in TRANSLATIONS))
    signatures = 2 * ((slope + noise) / 4).round().clamp(-4, 4)
    inputs = torch.stack([columns[name] for name in FEATURES], dim=1).double()
    return knots_of(inputs, signatures.double(), synthetic=True)


def varying(table: kp.Table) -> list[str]:
    """Return the inputs that are not the same in all rows."""
    varies = (table.inputs != table.inputs[0]).any(dim=0)
    return [name for name, kept in zip(table.names, varies, strict=True) if kept]


def only(data: kp.Data, names: Sequence[str]) -> kp.Data:
    """Return the data with these inputs alone."""
    return kp.Data(**{part: table.only(names) for part, table in data.parts.items()})
