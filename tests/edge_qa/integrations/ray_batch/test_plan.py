"""Plans, by hand."""

import pytest

from edge_qa.errors import InputError, ResourceError
from edge_qa.integrations.ray_batch.plan import Plan, checked_plan


@pytest.mark.parametrize(
    ("workers", "threads", "free", "spare", "plan"),
    [
        (2, 1, [2], 0, Plan(2, 1)),
        (None, 1, [2], 0, Plan(2, 1)),
        (None, 2, [5, 4], 0, Plan(4, 2)),
        (None, 4, [3, 9.5], 0, Plan(2, 4)),
        (None, 2, [4, 4], 1, Plan(3, 2)),  # a worker less, so that one can read
        (None, 2, [5, 4], 1, Plan(4, 2)),  # the fifth CPU of the first reads
        (1, 1, [2], 1, Plan(1, 1)),
    ],
)
def test_a_plan_that_fits(workers, threads, free, spare, plan):
    assert checked_plan(workers, threads, free, spare=spare) == plan


@pytest.mark.parametrize(
    ("workers", "threads", "free", "spare", "said"),
    [
        (3, 1, [2], 0, "3 workers of 1 thread need 3 CPUs, and the cluster has 2 free"),
        (2, 1, [2], 1, "2 workers of 1 thread need 2 CPUs and 1 for what reads and writes, and the cluster has 2 free"),
        (1, 3, [2, 2], 0, "1 worker of 3 threads need 3 CPUs, and the cluster has 2 + 2 free"),
        (None, 2, [1], 0, "1 worker of 2 threads need 2 CPUs, and the cluster has 1 free"),
        (None, 1, [], 0, "1 worker of 1 thread need 1 CPU, and the cluster has 0 free"),
    ],
)
def test_a_plan_that_does_not_fit_is_refused_with_the_numbers(workers, threads, free, spare, said):
    with pytest.raises(ResourceError) as problem:
        checked_plan(workers, threads, free, spare=spare)
    assert problem.value.got == said


@pytest.mark.parametrize(("workers", "threads"), [(0, 1), (1, 0)])
def test_less_than_one_is_no_number(workers, threads):
    with pytest.raises(InputError, match="got 0, wanted at least 1"):
        checked_plan(workers, threads, [8])
