"""The memory of the machine, and sizes of memory in words."""

import math
import os


def machine_memory() -> float:
    """Return the bytes of the machine's memory; infinite where they are not known."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # unknown on this system
        return math.inf


def written_size(count: int) -> str:
    """Return a number of bytes as text, such as 1.5 GB."""
    units = ("bytes", "kB", "MB", "GB", "TB", "PB")
    power = min(int(math.log10(max(count, 1)) // 3), len(units) - 1)
    return f"{min(count, 10**300) / 10 ** (3 * power):.3g} {units[power]}"
