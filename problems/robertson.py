"""Robertson's chemical reaction, whose rates differ by nine orders of magnitude."""

from pathlib import Path

import kanpinn as kp


class Robertson(kp.Problem):
    """a' = -0.04 a + 1e4 b c, b' = 0.04 a - 1e4 b c - 3e7 b², c' = 3e7 b² for t in [0, 1e11].

    At t = 0 there is a = 1 alone. The sum of the three concentrations stays 1.

    Hard: b rises within a thousandth, and a decays until the end of the time, so that windows grow
    from 1e-5 to 1e10. The errors are means over the points of the reference, which is a solution in
    extended precision; as means over the time they say little of its first 99 %.

    Reference: Robertson, The solution of a set of reaction rate equations (1966); Hairer and
    Wanner, Solving Ordinary Differential Equations II (1996), IV.1.
    """

    domain = kp.Box(t=(0, 1e11))
    fields = ("a", "b", "c")

    def residual(self, p, a, b, c):
        slow, fast, square = 0.04 * a.value, 1e4 * b.value * c.value, 3e7 * b.value**2
        return (
            kp.partial(a, "t") + slow - fast,
            kp.partial(b, "t") - slow + fast + square,
            kp.partial(c, "t") - square,
        )

    def conditions(self):
        start = {"a": 1.0, "b": 0.0, "c": 0.0}
        return [kp.Initial(self.domain, value, field=name) for name, value in start.items()]

    def invariants(self, p, a, b, c):
        return {"mass": a.value + b.value + c.value}

    def reference(self):
        source = "Radau collocation in extended precision, at 192 times"
        return kp.DataFile(str(Path(__file__).with_suffix(".h5")), error=1e-15, source=source)
