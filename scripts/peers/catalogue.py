"""The peers: the packages in the environment of each, the file that runs it, and its rows."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

RUNNERS = Path(__file__).parent


@dataclass(frozen=True)
class Peer:
    """One runner; each of its rows is a process of its own."""

    name: str
    requirements: tuple[str, ...] = ()
    """What pip installs into an environment of the peer's own; none: kanpinn's does."""
    module: str = ""
    """Where this can be imported already, no environment of the peer's own is made."""
    rows: tuple[str, ...] = ("",)
    seeded: bool = True

    @property
    def is_here(self) -> bool:
        """Whether the Python that runs the benchmark can run this peer."""
        return not self.requirements or (self.module != "" and find_spec(self.module) is not None)

    @property
    def runner(self) -> Path:
        return RUNNERS / f"run_{self.name.replace('-', '_')}.py"


# pykan states no requirements of its own; these are what it imports.
_PYKAN = ("matplotlib", "numpy", "pandas", "pyyaml", "scikit-learn", "seaborn", "sympy", "torch")

PEERS = (
    Peer("kanpinn", rows=("default", "small", "random-features", "mlp")),
    Peer("splines", rows=("least-squares", "collocation", "chebyshev"), seeded=False),
    Peer("scikit-fem", ("scikit-fem>=10,<13",), "skfem", rows=("P2", "P4"), seeded=False),
    Peer("jinns", ("jinns>=1.10,<1.11",), rows=("exact", "penalty")),
    Peer("jaxkan", ("jaxkan>=0.3.7,<0.4",)),
    Peer("pykan", ("pykan>=0.2.8,<0.3", "tqdm", "setuptools", "scipy", *_PYKAN)),
    Peer("deepxde", ("deepxde>=1.15,<1.16", "torch")),
    Peer("pina", ("pina-mathlab>=0.3,<0.4",)),
)
"""In the order in which they run."""

SMOKE = ("kanpinn", "splines", "scikit-fem")
"""The peers that need no environment of their own where kanpinn[test] is installed."""
