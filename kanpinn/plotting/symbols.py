"""Names of coordinates and fields as mathematics."""

import re
from collections.abc import Mapping

GREEK = frozenset(
    "alpha beta gamma delta epsilon zeta eta theta kappa lambda mu nu xi pi rho sigma tau phi chi "
    "psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega".split()
)
NAME = re.compile(r"([^\W\d_]+)_?(\w*)")
SPECIAL = {letter: f"\\{letter}" for letter in "_ $%#{}"}  # what mathtext would not take as it is
SPECIAL |= {"\\": r"{\backslash}", "^": r"{\wedge}", "~": r"{\sim}"}
LISTED = 3  # coordinates that a title lists; of more the first and the last
GROUPS = 4  # different places at which a title says they are held


def symbol(name: str) -> str:
    """A name in mathtext, without dollars: x1 is "x_{1}", sigma_xx is "\\sigma_{xx}"."""
    match = NAME.fullmatch(name)
    if match is None:
        return rf"\mathit{{{_escaped(name)}}}"
    letters, index = match.groups()
    if letters in GREEK:
        letters = f"\\{letters}"
    elif len(letters) > 1:
        letters = rf"\mathit{{{letters}}}"
    return f"{letters}_{{{_escaped(index)}}}" if index else letters


def cut_title(fixed: Mapping[str, float]) -> str:
    """Where the coordinates that do not vary are held: "cut at x_3 = x_4 = 0.5, x_5 = 1"."""
    groups: dict[float, list[str]] = {}
    for name, value in fixed.items():
        groups.setdefault(value, []).append(symbol(name))
    if len(groups) > GROUPS:
        return "cut through the centre of the other coordinates"
    parts = (f"${_equal(names)} = {value:.4g}$" for value, names in groups.items())
    return "cut at " + ", ".join(parts)


def _equal(names: list[str]) -> str:
    shown = names if len(names) <= LISTED else [names[0], r"\ldots", names[-1]]
    return " = ".join(shown)


def _escaped(name: str) -> str:
    return "".join(SPECIAL.get(letter, letter) for letter in name)
