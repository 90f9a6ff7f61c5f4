"""The memory of the machine, its free part, and sizes of memory as text."""

import math
import os
from pathlib import Path

from kanpinn._support.errors import InputError


def machine_memory() -> float:
    """Return the bytes of the machine's memory; infinity if unknown."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # unknown on this system
        return math.inf


def free_memory() -> float:
    """Return the bytes of memory that programs can still take; infinity if unknown."""
    try:  # Linux: free memory, and memory of caches that can be freed
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(float(line.split()[1]) * 1024 for line in lines if "MemAvailable" in line)
    except (OSError, StopIteration):
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # unknown on this system
        return math.inf


def written_size(count: int) -> str:
    """Return a number of bytes as text, such as 1.5 GB."""
    units = ("bytes", "kB", "MB", "GB", "TB", "PB")
    power = min(int(math.log10(max(count, 1)) // 3), len(units) - 1)
    return f"{min(count, 10**300) / 10 ** (3 * power):.3g} {units[power]}"


def check_memory(given: str, size: int, *, free: bool = False) -> None:
    """Refuse settings that need more memory than the machine has.

    Args:
        given: the settings that need the memory, for the message.
        size: the number of bytes that the settings need.
        free: whether the memory must also be free, as before a solve begins.

    Raises:
        InputError: if the machine has less memory or, with `free`, less free memory.
    """
    available = free_memory() if free else machine_memory()
    if size > available:
        there = written_size(int(available))
        there = f"{there} are free" if free else f"this machine has {there}"
        raise InputError(f"{given}: needs at least {written_size(size)} of memory, and {there}")
