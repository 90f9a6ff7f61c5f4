"""Formatting of names, numbers and labels for figures."""

import math
import re
import textwrap
from collections.abc import Mapping

GREEK = frozenset(
    "alpha beta gamma delta epsilon zeta eta theta kappa lambda mu nu xi pi rho sigma tau phi chi "
    "psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega".split()
)
NO_BREAK_SPACE = "\N{NO-BREAK SPACE}"
NAME = re.compile(r"([^\W\d_]+)_?(\w*)")
# Characters that mathtext would interpret, with their escaped forms.
SPECIAL = {letter: f"\\{letter}" for letter in "_ $%#{}"}
SPECIAL |= {"\\": r"{\backslash}", "^": r"{\wedge}", "~": r"{\sim}"}


def symbol(name: str) -> str:
    """Return a name in mathtext without dollars: x1 is "x_{1}", sigma_xx is "\\sigma_{xx}"."""
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
    """Return the title of a cut, such as "cut at x_3 = x_4 = 0.5, x_5 = 1".

    fixed: the values of the coordinates that do not vary, by name.
    """
    groups: dict[float, list[str]] = {}
    for name, value in fixed.items():
        groups.setdefault(value, []).append(symbol(name))
    if len(groups) > 4:
        return "cut through the centre of the other coordinates"
    parts = []
    for value, names in groups.items():
        shown = names if len(names) <= 3 else [names[0], r"\ldots", names[-1]]
        parts.append(f"${' = '.join(shown)} = {value:.4g}$")
    return "cut at " + ", ".join(parts)


def _escaped(name: str) -> str:
    return "".join(SPECIAL.get(letter, letter) for letter in name)


def number_text(value: float | int) -> str:
    """Return a number with three digits, with a power of ten if it is very large or small."""
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    return power_text(value)


def power_text(value: float | int) -> str:
    """Return a number with its power of ten, in mathtext."""
    exponent = math.floor(math.log10(abs(value)) + 1e-9)
    factor = f"{value / 10.0**exponent:.2g}"
    return f"$10^{{{exponent}}}$" if factor == "1" else f"${factor}·10^{{{exponent}}}$"


def wrapped(text: str) -> str:
    """Wrap a text to lines of at most 40 characters, broken after commas, colons or before plus."""
    tied = re.sub(r"(?<![,:]) (?!\+)", NO_BREAK_SPACE, text)
    return textwrap.fill(tied, 40, break_on_hyphens=False)


def plain_text(label: str) -> str:
    """Return a label with escaped dollar signs, which would otherwise start mathtext."""
    return label.replace("$", r"\$")
