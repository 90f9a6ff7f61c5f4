"""The MLPs beside the KANs: every optimizer has about as many seconds as a KAN takes."""

import kanpinn as kp

LM, LBFGS, ADAM = "Levenberg–Marquardt", "L-BFGS", "Adam"
# Steps that take some 1.5 s of one processor each, with 1000 rows of two inputs. Those of
# Levenberg–Marquardt grow with the parameters squared and more.
MOST_STEPS, WORK = 100, 8000


def optimizers(width: int, share: float = 1.0) -> dict[str, tuple[kp.Method, ...]]:
    """The stages of each optimizer for two hidden layers of a width; `share` of all steps."""
    damped = int(share * min(MOST_STEPS, WORK / width**2))
    return {
        LM: (kp.LeastSquares(), kp.LevenbergMarquardt(steps=max(2, damped))),
        LBFGS: (kp.LBFGS(steps=max(2, int(25 * share))),),
        ADAM: (kp.Adam(steps=max(2, int(800 * share)), lr=1e-2),),
    }
