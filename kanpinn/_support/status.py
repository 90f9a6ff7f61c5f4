"""Words of statuses, by which results are judged: the first ones, but for `UNCOMPARED`."""

CONVERGED = "converged"
FAILED = "failed"
OVERFITTED = "overfitted"  # the residual of the solution is small at its own points alone
STOPPED_BY_USER = "stopped: interrupted"  # by Ctrl-C or an observer
OUT_OF_TIME = "stopped: the budget"
# Why a solve in cells has not compared its solution with a better one begins with these words.
UNCOMPARED = "the comparison with a solution of degree"
UNUSABLE = (FAILED, OVERFITTED)  # results that are not to be used
