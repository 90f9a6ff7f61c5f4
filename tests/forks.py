"""Processes of tests that are forks of one server process, which has the heavy imports already."""

from multiprocessing import get_context

CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "torch",
        "torch._dynamo",  # imported by the first optimizer of torch
        "scipy.optimize",
        "scipy.special",
        "skfem",
        "sympy",
        "matplotlib.figure",
        "matplotlib.backends.backend_agg",
        "kanpinn.interpret",
        "kanpinn.plotting",
        "kanpinn.runs.config",
        "kanpinn.runs.study",
    ]
)
