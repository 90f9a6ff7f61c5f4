"""kanpinn doctor: checks whether this installation works, and shows versions and devices."""

import os
import platform
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import typer

import kanpinn
from kanpinn._support.errors import NumericalError
from kanpinn._support.memory import free_memory, machine_memory, written_size
from kanpinn._support.shown import plain_table
from kanpinn._support.versions import version_of
from kanpinn.cli.screen import reporting

SHOWN = ("torch", "numpy", "scipy", "matplotlib", "h5py")
LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Finding(NamedTuple):
    """A line of the table: a name, its value, and a sentence on a fault; "" without a fault."""

    name: str
    value: str
    wrong: str = ""


def doctor_command() -> None:
    """Check this installation: versions, threads, devices, memory, and a small solve.

    Exit codes: 0 all is well, 1 something is wrong.
    """
    with reporting():
        packages = list(_packages())
        findings = [*packages, *_machine()]
        if not any(one.wrong for one in packages):  # torch and all other packages can be imported
            import torch  # noqa: F401

            findings += [*_threads(), *_devices(), _self_test()]
        typer.echo(plain_table([(one.name, one.value) for one in findings], left=True))
        if wrong := [one.wrong for one in findings if one.wrong]:
            raise NumericalError("\n".join(wrong))
        typer.echo("all is well")


def _packages() -> Iterator[Finding]:
    """Yield the versions of Python and of packages, and whether optional extras are installed.

    The extras for tests and documentation are left out.
    """
    from importlib import metadata

    yield Finding("kanpinn", f"{kanpinn.__version__} in {Path(kanpinn.__file__).parent}")
    yield Finding("Python", f"{platform.python_version()} on {platform.platform()}")
    packages: dict[str, list[str]] = {"": [*SHOWN]}  # by extra; "" for packages always needed
    for line in metadata.requires("kanpinn") or [] if version_of("kanpinn") else []:
        marker = re.search(r"extra == ['\"]([\w-]+)['\"]", line)
        if name := re.match(r"[\w.-]+", line):
            packages.setdefault(marker[1] if marker else "", []).append(name[0])
    found = {name: version_of(name) for name in packages.pop("")}
    yield from (Finding(name, found[name] or "not installed") for name in SHOWN)
    missing = [name for name, version in found.items() if not version]
    wrong = f"not installed: {', '.join(missing)} (pip install kanpinn)" if missing else ""
    others = f"{len(found) - len(SHOWN)} needed, {len(missing)} missing"
    yield Finding("other packages", others, wrong)
    for extra in sorted({*packages} - {"test", "docs"}):
        missing = [name for name in packages[extra] if not version_of(name)]
        absent = f"without {', '.join(missing)} (pip install 'kanpinn[{extra}]')"
        yield Finding(f"extra {extra}", absent if missing else "installed")


def _machine() -> Iterator[Finding]:
    """Yield the findings about free memory and the current folder."""
    here, free, whole = Path.cwd(), free_memory(), machine_memory()
    told = f"{written_size(int(free))} free of {written_size(int(whole))}"
    known = free < float("inf") and whole < float("inf")
    little = f"only {written_size(int(free))} of memory are free: small problems take 0.5 GB"
    yield Finding("memory", told if known else "not known", little if free < 5e8 else "")
    writable = os.access(here, os.W_OK)
    wrong = "" if writable else f"no run folder can be made in {here}: it cannot be written to"
    yield Finding("folder", f"{here}, {'writable' if writable else 'not writable'}", wrong)


def _threads() -> Iterator[Finding]:
    """Yield the findings about the threads of PyTorch and BLAS, and about their limits."""
    import torch
    from threadpoolctl import threadpool_info

    yield Finding("threads of torch", f"{torch.get_num_threads()} of {os.cpu_count()} cores")
    for library in threadpool_info():
        if library["user_api"] == "blas":
            what = f"{library['internal_api']} {library['version']}"
            file = Path(library["filepath"]).name
            yield Finding("threads of BLAS", f"{library['num_threads']}, {what}, {file}")
    limits = [f"{name}={os.environ[name]}" for name in LIMITS if name in os.environ]
    yield Finding("limits of threads", ", ".join(limits) or f"none of {', '.join(LIMITS)} is set")


def _devices() -> Iterator[Finding]:
    """Yield a finding for each device, with whether it computes in float64."""
    import torch

    names = {"cpu": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"}
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        names[f"cuda:{index}"] = torch.cuda.get_device_name(index)
    if torch.backends.mps.is_available():
        names["mps"] = "Apple's Metal"
    for device, name in names.items():
        sound = False
        with suppress(TypeError, RuntimeError):  # TypeError on MPS, which has float32 alone
            sound = float(torch.ones(2, dtype=torch.float64, device=device).sum()) == 2
        fails = not sound and device != "mps"
        wrong = f"the device {device} does not compute in float64" if fails else ""
        kinds = "float64 and float32" if sound else "no float64: set run.dtype to float32"
        yield Finding(f"device {device}", f"{name}, {kinds}", wrong)
    for device, there in {"cuda": torch.cuda.is_available(), "mps": "mps" in names}.items():
        if not there:
            yield Finding(f"device {device}", "none")


def _self_test(expected: float = 1e-10) -> Finding:
    """Solve a small Poisson problem, and return the finding.

    Args:
        expected: the bound of the solution's relative L2 error.
    """
    try:
        domain = kanpinn.Box(x=(0, 1), y=(0, 1))
        problem = kanpinn.Poisson(domain, exact="sin(pi*x) * sin(2*pi*y)")
        network = kanpinn.KAN([2, 48, 1], degree=9, grid=[2, 4], seed=0)
        solution = kanpinn.solve(problem, network, seed=0)
    except Exception as error:  # a broken installation may raise anything
        told = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        return Finding("self-test", "failed", f"the self-test failed: {told}")
    assert solution.errors is not None
    reached = solution.errors.l2_relative
    told = f"relative L2 error {reached:.1e}, expected below {expected:.0e}"
    wrong = "" if reached < expected else f"the self-test has the {told}"
    return Finding("self-test", f"Poisson's equation: {told}, {solution.seconds:.1f} s", wrong)
