"""The first words of statuses, by which results are judged."""

CONVERGED = "converged"
FAILED = "failed"
OVERFITTED = "overfitted"  # the residual of the solution is small at its own points alone
STOPPED_BY_USER = "stopped: interrupted"  # by Ctrl-C or an observer
UNUSABLE = (FAILED, OVERFITTED)  # results that are not to be used
