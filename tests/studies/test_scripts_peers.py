"""The peers' benchmark: its problem, its errors and its table state what they claim."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def report(module):
    return module("peers.report")


@pytest.fixture
def poisson(module):
    return module("peers.measuring")


def timeline(report, *pairs, row="a", seed=0):
    """Measurements of (seconds, L2) pairs."""
    return [
        report.Measurement("p", row, seed, seconds, l2, l2 and 2 * l2, 7, "1.0")
        for seconds, l2 in pairs
    ]


def test_source_is_the_laplacian_of_the_exact_solution(poisson) -> None:
    x, y = np.random.default_rng(0).uniform(-1, 1, (2, 50))
    h = 1e-4
    shifted = sum(poisson.exact(x + a, y + b) for a, b in [(h, 0), (-h, 0), (0, h), (0, -h)])
    laplacian = (shifted - 4 * poisson.exact(x, y)) / h**2
    np.testing.assert_allclose(laplacian, poisson.source(x, y), atol=1e-4)


def test_relative_errors_of_known_fields(poisson) -> None:
    def scaled(coords):
        return 1.01 * poisson.exact(*coords.T), 1.01 * poisson.exact_gradient(*coords.T)

    errors = poisson.relative_errors(scaled)
    assert errors["l2_relative"] == pytest.approx(0.01, rel=1e-9)
    assert errors["h1_relative"] == pytest.approx(0.01, rel=1e-9)
    no_gradient = poisson.relative_errors(lambda coords: (np.zeros(len(coords)), None))
    assert no_gradient == {"l2_relative": pytest.approx(1), "h1_relative": None}


def test_seconds_to_an_accuracy_are_the_least_that_reach_it(report) -> None:
    run = timeline(report, (1, 0.5), (2, 0.05), (3, 0.2), (4, 0.001), (5, None))
    assert report.seconds_to(0.1, run) == 2
    assert report.seconds_to(0.05, run) == 2
    assert report.seconds_to(0.01, run) == 4
    assert report.seconds_to(1e-4, run) == math.inf


def test_summary_has_the_median_over_seeds_and_keeps_rows_apart(report) -> None:
    runs = [timeline(report, (s, 0.5), (10 * s, e), seed=s) for s, e in [(1, 1e-3), (2, 1e-5)]]
    slow = timeline(report, (30, 1e-2), seed=3)
    other = timeline(report, (1, 1e-9), row="b")
    first, second = report.summarize([*runs[0], *slow, *runs[1], *other])
    assert (first.row, first.seeds, second.row, second.seeds) == ("a", 3, "b", 1)
    assert first.l2_relative == 1e-3 and first.h1_relative == 2e-3
    assert first.seconds[:4] == (20, 20, 20, math.inf)
    assert second.seconds[8:] == (1, math.inf)


@pytest.mark.parametrize("row", ["least-squares", "collocation", "chebyshev"])
def test_tensor_solutions_converge(module, poisson, row: str) -> None:
    label, solve, sizes = module("peers.run_splines").ROWS[row]
    errors = [poisson.relative_errors(solve(size))["l2_relative"] for size in sizes[1:4]]
    assert errors[0] > 3 * errors[1] > 9 * errors[2], label


def test_peer_that_cannot_run_is_an_error_in_words(module, tmp_path: Path) -> None:
    """Here: an environment that claims to be ready, whose interpreter lacks the peer."""
    launch, environments = module("peers.launch"), module("peers.launch")
    jinns = next(p for p in module("peers.launch").PEERS if p.name == "jinns")
    python = tmp_path / "jinns" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    (tmp_path / "jinns" / environments.MARKER).write_text("\n".join(jinns.requirements) + "\n")
    settings = launch.Settings(budget=1.0, threads=1, environments=tmp_path, logs=tmp_path)
    with pytest.raises(environments.PeerError, match=r"exit code 1: .*No module named"):
        launch.measure(jinns, "", 0, settings)


def test_failed_peer_fails_the_benchmark_after_the_others_ran(
    module, report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    benchmark = module("benchmark_peers")

    def measure(peer, row, seed, settings):
        if peer.name == "pykan":
            raise benchmark.PeerError("no such package", timeline(report, (1, 0.5), row="partial"))
        return timeline(report, (2, 0.25), row=peer.name, seed=seed)

    monkeypatch.setattr(benchmark.launch, "measure", measure)
    monkeypatch.setattr(benchmark.launch, "limit_threads", lambda threads: None)
    given = ["--peers=jaxkan,pykan,pina", "--seeds=3,4", f"--output={tmp_path}"]
    assert benchmark.main(given) == 1
    assert "error: pykan seed 4: no such package" in capsys.readouterr().err
    found = benchmark.script.read_rows(tmp_path / "timelines.csv", report.Measurement)
    assert found[2] == timeline(report, (1, 0.5), row="partial")[0]
    assert [m.row for m in found] == ["jaxkan"] * 2 + ["partial"] * 2 + ["pina"] * 2
    assert (tmp_path / "figure.png").is_file() and (tmp_path / "table.csv").is_file()
    (tmp_path / "table.csv").unlink()
    assert benchmark.main(["--redraw", f"--output={tmp_path}"]) == 0
    assert (tmp_path / "table.csv").is_file()


@pytest.mark.parametrize("given", ["--peers=pykam", "--seeds=a", "--budget=0", "--threads=0"])
def test_bad_options_are_refused(module, given: str, capsys: pytest.CaptureFixture) -> None:
    benchmark = module("benchmark_peers")
    with pytest.raises(SystemExit) as refused:
        benchmark.main([given])
    assert refused.value.code == 2
    assert given.split("=")[1] in capsys.readouterr().err
