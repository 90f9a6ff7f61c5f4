"""The optimizers of the MLPs: each takes about as many seconds as a KAN's fit."""

import kanpinn as kp

LM, LBFGS, ADAM = "Levenberg–Marquardt", "L-BFGS", "Adam"
# So many steps take some 1.5 s of one core with each optimizer, with 1000 rows of two inputs. The
# time of a Levenberg–Marquardt step grows with the square of the parameters or faster.
MOST_STEPS, WORK = 100, 8000


def optimizers(width: int, share: float = 1.0) -> dict[str, tuple[kp.Method, ...]]:
    """Return each optimizer's stages for two hidden layers of a width.

    share: how many steps are made, relative to those of a full run.
    """
    damped = int(share * min(MOST_STEPS, WORK / width**2))
    return {
        LM: (kp.LeastSquares(), kp.LevenbergMarquardt(steps=max(2, damped))),
        LBFGS: (kp.LBFGS(steps=max(2, int(25 * share))),),
        ADAM: (kp.Adam(steps=max(2, int(800 * share)), lr=1e-2),),
    }
