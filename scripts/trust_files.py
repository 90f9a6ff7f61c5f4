"""Whether kanpinn can be trusted with files: wrong ones, damaged ones, runs that are killed.

What: `mutations`: random mutations of the files of problems/, of their tables, values and
characters, are given to `kanpinn check`. `damage`: run folders of a solve and of a fit, with a file
that is cut off, has a flipped bit or other contents, are given to `kanpinn export` and `--resume`.
A command fails if it prints a traceback or more than 2 kB, takes more than 20 s of the processor or
1 GB of memory beyond that of the imports, ends by a signal or without a word, or changes a folder
that it refuses.
`writes`: at every operation on the disk of a short solve, fit and study (a file that is opened,
renamed or removed, a folder that is made, an fsync) the process is killed, also amid a write, or
the disk is full, refuses once, is read-only, or the folder vanishes: what fails must be told with
the path; every run folder must stay readable, with its last checkpoint, and the run must end, when
it is started again, with the coefficients of one that nothing has disturbed.
`kills`: the same after SIGKILL at random moments of a solve, a fit, a march, a search by `auto` and
a study.

How: each command runs in a fork of this process. What has failed is listed with the file that
reproduces it, which stays in --output. A section that has been measured by the same sources of
kanpinn, with the same options, is not measured again.

How long: some two hours on one core; --only SECTION ... measures some of the sections; --smoke:
three quarters of a minute.

Writes to --output: trust_files.json, failures.md, and the files that made a command fail.
"""

from pathlib import Path

from hostile import damage, kills, mutations, writes
from hostile.sections import Section, measure

SECTIONS = {
    "mutations": Section(mutations.figures, {"mutations": (2000, 24, "of problem files")}),
    "damage": Section(damage.figures, {"damages": (300, 2, "of each run folder")}),
    "writes": Section(writes.figures, {"writes": (10**6, 2, "faults of each kind of run; all")}),
    "kills": Section(kills.figures, {"kills": (100, 2, "of runs, the kinds together")}),
}

if __name__ == "__main__":
    measure(Path(__file__).stem, __doc__, SECTIONS)
