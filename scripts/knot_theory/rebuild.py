"""The data set made anew with SnapPy: geometry and signature of the Hoste-Thistlethwaite knots.

Both are computed from one diagram, so that their chirality agrees. Torsion degrees need Sage and
are 0, "not computed", as in part of DeepMind's table. A chunk of knots is written as one file, and
chunks whose files exist are not computed again.
"""

import csv
import io
import math
import random
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy
from knot_theory.knots import FEATURES, FILES, SYMMETRIES, TARGET

from kanpinn._support.files import write_text

CHUNK = 10
SHARE = 2 / 3  # of the rows in train.csv
CUTOFFS = (1.0, 1.4, 1.7, 1.9, 2.1, 2.5)  # lengths up to which geodesics are looked for
ATTEMPTS = 5  # at a triangulation whose tetrahedra are all positive
DOMAINS = 400  # attempts at a Dirichlet domain
SPINE = 3.2  # its greatest radius: the time for lengths grows exponentially with it
POSITIVE = "all tetrahedra positively oriented"

Row = dict[str, float]


def rebuild(
    folder: Path, names: Sequence[str], row_of: Callable[[str], Row | None], workers: int
) -> None:
    """Write train.csv and test.csv with the rows of the named knots.

    row_of: returns the columns of one knot, or None to leave it out. workers: processes.
    """
    pieces = [names[i : i + CHUNK] for i in range(0, len(names), CHUNK)]
    paths = [folder / "chunks" / f"{len(names)}_{i:05d}.csv" for i in range(len(pieces))]
    open_ones = [(p, piece) for p, piece in zip(paths, pieces, strict=True) if not p.exists()]
    paths[0].parent.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(workers) as executor:
        written = executor.map(partial(write_chunk, row_of), *zip(*open_ones, strict=True))
        for path in written if open_ones else ():
            sys.stderr.write(f"{path.name}\n")
    rows = [row for path in paths for row in read_rows(path)]
    cut = round(SHARE * len(rows))
    for name, part in zip(FILES, (rows[:cut], rows[cut:]), strict=True):
        write_rows(folder / name, part)
    sys.stderr.write(f"{len(rows)} of {len(names)} knots are in {folder}\n")


def draw_names(count: int) -> list[str]:
    """Draw names of knots of up to 14 crossings, the same ones in each call.

    Ends the program if SnapPy is missing.
    """
    if find_spec("snappy") is None:
        sys.exit("knots.py: --rebuild needs SnapPy: pip install 'kanpinn[knots]'")
    import snappy

    table = snappy.HTLinkExteriors(knots_vs_links="knots")
    places = random.Random(0).sample(range(len(table)), min(count, len(table)))
    return [table[i].name() for i in places]


def write_chunk(row_of: Callable[[str], Row | None], path: Path, names: Sequence[str]) -> Path:
    """Write the rows of some knots to a file."""
    rows = [row for name in names if (row := row_of(name)) is not None]
    write_rows(path, rows)
    return path


def invariants(name: str) -> Row | None:
    """Return the columns of one knot, None if it is not hyperbolic or no geometry is found."""
    import snappy

    link = snappy.Link(name)
    exterior = link.exterior()
    for _ in range(ATTEMPTS):
        if exterior.solution_type() == POSITIVE:
            break
        exterior.randomize()
    else:
        return None
    try:
        row = geometry(exterior)
    except (RuntimeError, ValueError, ArithmeticError):  # SnapPy's own failures
        return None
    return row | {TARGET: signature(link.seifert_matrix())}


def geometry(exterior: Any) -> Row:
    """Return the invariants of the hyperbolic structure."""
    meridian, longitude = cusp_translations(exterior)
    geodesic = shortest_geodesic(exterior)
    group = str(exterior.symmetry_group())
    translation = shortest_translation(meridian, longitude)
    row = dict.fromkeys(FEATURES, 0.0)
    row |= {f"Symmetry_{g}": float(g == group) for g in SYMMETRIES}
    return row | {
        "chern_simons": float(exterior.chern_simons()),
        "cusp_volume": longitude.real * meridian.imag,
        "injectivity_radius": min(geodesic.real / 2, math.asinh(translation / 2)),
        "longitudinal_translation": longitude.real,
        "meridinal_translation_imag": meridian.imag,
        "meridinal_translation_real": meridian.real,
        "short_geodesic_imag_part": geodesic.imag,
        "short_geodesic_real_part": geodesic.real,
        "volume": float(exterior.volume()),
    }


def cusp_translations(exterior: Any) -> tuple[complex, complex]:
    """Return meridian and longitude on the largest cusp that does not overlap itself."""
    cusp = exterior.cusp_neighborhood()
    cusp.set_displacement(cusp.stopping_displacement())
    meridian, longitude = (complex(z) for z in cusp.translations(0))
    return meridian, longitude


def shortest_geodesic(exterior: Any) -> complex:
    """Return the complex length of the shortest geodesic, from a Dirichlet domain.

    In double precision most base points fail, for some knots all but a few in a hundred. An attempt
    takes a hundredth of a second; more digits would take minutes.

    Raises:
        ArithmeticError: if no Dirichlet domain is found.
    """
    again = exterior.copy()
    for _ in range(DOMAINS):
        try:
            domain = again.dirichlet_domain(maximize_injectivity_radius=False)
            if float(domain.spine_radius()) > SPINE:
                raise RuntimeError("too far out")
            spectra = (domain.length_spectrum_dicts(cutoff) for cutoff in CUTOFFS)
            return complex(next(s for s in spectra if len(s))[0]["length"])
        except (RuntimeError, StopIteration):
            again.randomize()
    raise ArithmeticError("no Dirichlet domain")


def shortest_translation(meridian: complex, longitude: complex) -> float:
    """Return the length of the shortest vector of the cusp's lattice."""
    steps = range(-3, 4)
    lengths = [abs(m * meridian + n * longitude) for m in steps for n in steps if m or n]
    return min(lengths)


def signature(seifert: Sequence[Sequence[int]]) -> int:
    """Return the signature of V + Vᵀ with the sign of DeepMind's table.

    It is the number of negative minus that of positive eigenvalues.
    """
    v = numpy.array([[int(entry) for entry in row] for row in seifert], dtype=float)
    eigenvalues = numpy.linalg.eigvalsh(v + v.T) if v.size else numpy.zeros(0)
    return int((eigenvalues < 0).sum() - (eigenvalues > 0).sum())


def read_rows(path: Path) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        return [
            {name: float(row[name]) for name in (*FEATURES, TARGET)} for row in csv.DictReader(file)
        ]


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write rows to a CSV file, whose first column has no name and numbers the rows."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["", *FEATURES, TARGET])
    for i, row in enumerate(rows):
        writer.writerow([i, *(repr(row[name]) for name in (*FEATURES, TARGET))])
    write_text(path, text.getvalue())
