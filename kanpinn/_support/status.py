"""First words of statuses, by which results are judged."""

OVERFITTED = "overfitted"  # the residual of the solution is small at its own points alone
UNUSABLE = ("failed", OVERFITTED)  # results that are not to be used
