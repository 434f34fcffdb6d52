"""Check the reckoning of capacity by hand, and the simulation against queueing theory."""

from dataclasses import replace

import pytest

from benchmarks.capacity.costs import GPU, Costs
from benchmarks.capacity.plan import Plan, limits, plan
from benchmarks.capacity.simulate import LONGEST, simulate, size

COSTS = Costs(
    processor="a test's",
    model=50.0,
    worker=20.0,
    first=5.0,
    overlay=3.0,
    api=2.0,
    redis=4.0,
    upload_bytes=400_000,
    report_bytes=10_000,
    overlay_bytes=100_000,
    worker_memory=100e6,
)


def test_a_plan_by_hand() -> None:
    found = plan(COSTS, 100)

    # 100/s x 50 ms = 5 cores; two cores a server, 70 % of them used: 5 / 2 / 0.7 = 3.57
    assert found.model_servers == 4
    # 100/s x (25 + 50) ms / 0.7 = 10.7
    assert found.workers == 11
    assert found.cores == pytest.approx({"workers": 2.5, "API": 0.2, "Redis": 0.4, "model": 5.0})
    assert found.driver == "model"


@pytest.mark.parametrize(("overlays", "cores"), [(0, 2.0), (1, 2.5), (5, 3.7)])
def test_what_overlays_share_is_reckoned_once(overlays: int, cores: float) -> None:
    assert plan(COSTS, 100, overlays=overlays).cores["workers"] == pytest.approx(cores)


def test_a_gpu_takes_the_model_off_the_cores() -> None:
    found = plan(COSTS, 1000, replace(GPU, images_per_second=2000.0, derating=0.5))

    assert found.model_servers == 2  # 1000/s of 1000/s, 70 % used
    assert "model" not in found.cores
    assert found.driver == "workers"


def test_limits_by_hand_come_with_the_lowest_first() -> None:
    found = limits(COSTS)

    assert list(found.values()) == sorted(found.values())
    by_hand = {
        "QUEUE_BYTES": 1e9 / (3600 * 110_000),
        "one core of Redis": 0.7 * 250,
        "10 Gbit/s": 0.7 * 1.25e9 / (2 * 400_000 + 2 * 110_000),
        "one core of the API": 0.7 * 500,
    }
    for name, value in by_hand.items():
        (rate,) = [rate for limit, rate in found.items() if limit.startswith(name)]
        assert rate == pytest.approx(value), name


def of(rate: float, workers: int, models: int) -> Plan:
    return Plan(rate, None, 1, workers, models, {})


def test_one_worker_waits_as_pollaczek_and_khinchine_say() -> None:
    busy, work = 0.6, 10.0
    found = simulate(of(1000 * busy / work, 1, 1000), work, 0.0, jobs=200_000)

    # M/D/1: the mean wait is rho / (2 (1 - rho)) services
    assert found.workers_busy == pytest.approx(busy, rel=0.02)
    assert found.mean == pytest.approx(work + work * busy / (2 * (1 - busy)), rel=0.03)
    assert work < found.median < found.mean < found.p99


def test_without_rivals_a_job_takes_its_own_time() -> None:
    found = simulate(of(0.1, 5, 5), 10.0, 10.0, jobs=1000)

    assert found.median == pytest.approx(10 + 10)
    assert found.models_busy < 0.01


def test_too_few_model_servers_let_the_queue_grow() -> None:
    enough = simulate(of(10, 50, 2), 10.0, 100.0, jobs=3000)
    short = simulate(of(10, 50, 1), 10.0, 125.0, jobs=3000)

    assert enough.p99 < 5_000
    assert short.p99 > 20_000


def test_workers_are_added_until_jobs_are_in_time() -> None:
    bare = plan(COSTS, 50)
    sized, outcome = size(COSTS, 50)

    assert sized.workers >= bare.workers
    assert outcome.p99 <= LONGEST
    assert outcome.workers_busy <= 0.7
