"""Whether what kanpinn says of its solutions can be trusted: estimates, bounds, statuses.

What: `adversarial`: named and random problems whose exact solutions are known, and whose errors are
hard to estimate, are solved with given networks and by trials. An estimate fails if it is below a
third of the true error, or if a solution is said to be within a tolerance that it is not.
`ill_posed`: well-posed problems of many kinds are drawn, and each again with a fault, such as a
side without a condition: a solve must refuse or warn of the faulty ones, and of no others.
`units`: the library's problems with coordinates, fields and equations multiplied by random powers
of ten, from 1e-4 to 1e4: the errors of solves by trials must be the same to a factor of 2.
`bounds`: random coercive problems, solved well and badly, get guaranteed bounds (`kp.error_bound`),
which are compared with the true errors: they must hold.
`certified`: random problems in polygons, with reaction, convection, coefficients that vary or jump
and conditions of all kinds, get bounds of errors, and intervals of integrals, which must hold.
`bodies`: random elastic bodies in the plane get both as well; finite elements give the true errors.
`numbers`: integrals, fluxes, forces, values at points and maxima of random problems in cells, whose
solutions are known: their true errors must be at most three times the estimated errors.
`drawn`: elastic bodies and conductors with conditions of all kinds in random order, on boxes,
polygons, slits and domains with holes, some with coefficients that jump, are solved with nothing
chosen. Finite elements on meshes that are graded to all corners know their solutions.
`eigenvalues`: random eigenvalue problems of twenty kinds, whose eigenvalues are known, are solved
with nothing chosen, also near a real or complex number.
`evolutions`: random evolutions of twenty kinds, in one and two dimensions, with known solutions,
some with data that contradict each other, are solved with nothing chosen.
`nonlinear`: random problems of twenty kinds with known solutions, with layers, several solutions or
coefficients that vanish, are solved with nothing chosen.
`budgets`: problems of fifteen kinds, with nothing chosen or with given networks, get random budgets
from 2 to 60 s: nothing may exceed its budget by both 20 % and 5 s. Budgets are seconds of the
processor here.
`domains`: networks in cells solve five equations on random domains of ten kinds.
`intervals`: inverse problems are solved for many draws of the noise: their 95% intervals must hold
the truth in 90 to 99%, and be as wide as the Cramér–Rao bound.

How: a section that has been measured by the same sources of kanpinn, with the same options, is not
measured again. trust_files.py does the same for what kanpinn says of files.

How long: some eight hours on one core; --only SECTION ... measures some of the sections; --smoke:
a minute of the processor.

Writes to --output: trust.json, failures.md, and tables of the solves.
"""

from pathlib import Path

from hostile import budgets, domains, ill_posed, intervals, units
from hostile.adversarial import figures as adversarial
from hostile.bounds import bodies, certified
from hostile.bounds import figures as bounded
from hostile.drawn import figures as drawn
from hostile.eigenvalues import figures as of_eigenvalues
from hostile.evolutions import figures as of_evolutions
from hostile.nonlinear import figures as of_nonlinear
from hostile.numbers import figures as numbered
from hostile.sections import Section, measure

SECTIONS = {
    "adversarial": Section(
        adversarial,
        {
            "draws": (60, 0, "random problems"),
            "searches": (80, 1, "problems that are solved by trials"),
            "budget": (20, 1, "seconds of each search"),
        },
    ),
    "ill_posed": Section(
        ill_posed.figures, {"problems": (112, 14, "well-posed problems, and as many ill-posed")}
    ),
    "units": Section(units.figures, {"units": (2, 1, "drawn for each problem of the library")}),
    "bounds": Section(bounded, {"bounded": (150, 2, "random problems with bounds")}),
    "certified": Section(certified, {"certified": (300, 1, "random problems in polygons")}),
    "bodies": Section(bodies, {"bodies": (100, 1, "random elastic bodies in the plane")}),
    "numbers": Section(numbered, {"numbers": (100, 1, "random problems with known numbers")}),
    "drawn": Section(
        drawn,
        {
            "drawn": (60, 1, "conductors, as many bodies, and an eighth as many solids"),
            "drawn_budget": (15, 1, "seconds of each solve"),
        },
    ),
    "eigenvalues": Section(
        of_eigenvalues,
        {
            "eigenvalues": (40, 5, "random eigenvalue problems"),
            "eigen_budget": (30, 2, "seconds of each search"),
        },
    ),
    "evolutions": Section(
        of_evolutions,
        {
            "evolutions": (40, 1, "random evolutions in one and two dimensions"),
            "evolution_budget": (15, 2, "seconds of each search"),
        },
    ),
    "nonlinear": Section(
        of_nonlinear,
        {
            "nonlinear": (40, 1, "random nonlinear problems"),
            "nonlinear_budget": (15, 1, "seconds of each solve"),
        },
    ),
    "budgets": Section(budgets.figures, {"budgets": (100, 1, "random tasks with random budgets")}),
    "domains": Section(domains.figures, {"halves": (2, 1, "draws of each domain and equation")}),
    "intervals": Section(intervals.figures, {"noises": (200, 1, "draws of each problem's noise")}),
}

if __name__ == "__main__":
    measure(Path(__file__).stem, __doc__, SECTIONS)
