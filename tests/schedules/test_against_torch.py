"""Every schedule that torch has is equal to torch's, at every step."""

import math
import warnings

import mpmath
import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler as torch_schedules

from thalweg.schedules import factors, parse


LR = 0.1


def learning_rates(make, steps):
    """What torch's scheduler gives for each update."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LR, momentum=0.9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SequentialLR steps its parts in a way that warns about itself
        scheduler = make(optimizer)
        rates = []
        for _ in range(steps):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            if len(rates) < steps:
                scheduler.step()
    return np.array(rates)


CASES = {
    "step(7, 0.5)": lambda o, _: torch_schedules.StepLR(o, 7, 0.5),
    "step(30%)": lambda o, n: torch_schedules.StepLR(o, 3 * n // 10),
    "multi_step(10, 50%, gamma=0.3)": lambda o, n: torch_schedules.MultiStepLR(o, [10, n // 2], 0.3),
    "exponential(0.99)": lambda o, _: torch_schedules.ExponentialLR(o, 0.99),
    "polynomial": torch_schedules.PolynomialLR,
    "polynomial(2.5) over 50%": lambda o, n: torch_schedules.PolynomialLR(o, n // 2, 2.5),
    "linear(0.25, 1) over 20%": lambda o, n: torch_schedules.LinearLR(o, 0.25, 1, n // 5),
    "linear(1, 0.1)": lambda o, n: torch_schedules.LinearLR(o, 1.0, 0.1, n),
    "warmup(20, start=0.2)": lambda o, _: torch_schedules.LinearLR(o, 0.2, 1, 20),
    "cosine": torch_schedules.CosineAnnealingLR,
    "cosine(end=0.05)": lambda o, n: torch_schedules.CosineAnnealingLR(o, n, 0.05 * LR),
    "cosine_restarts(10)": lambda o, _: torch_schedules.CosineAnnealingWarmRestarts(o, 10),
    "cosine_restarts(7, mult=2, end=0.1)": lambda o, _: torch_schedules.CosineAnnealingWarmRestarts(o, 7, 2, 0.1 * LR),
    "cosine_restarts(3, mult=3)": lambda o, _: torch_schedules.CosineAnnealingWarmRestarts(o, 3, 3),
    "one_cycle": lambda o, n: torch_schedules.OneCycleLR(o, LR, n),
    "one_cycle(10%, anneal=linear)": lambda o, n: torch_schedules.OneCycleLR(
        o, LR, n, pct_start=0.1, anneal_strategy="linear"
    ),
    "one_cycle(25%, div_factor=10, final_div_factor=100, phases=3)": lambda o, n: torch_schedules.OneCycleLR(
        o, LR, n, pct_start=0.25, div_factor=10, final_div_factor=100, three_phase=True
    ),
    "constant(0.3) over 12 > constant": lambda o, _: torch_schedules.ConstantLR(o, 0.3, 12),
    "warmup(10, start=0.1) > exponential(0.95)": lambda o, _: torch_schedules.SequentialLR(
        o, [torch_schedules.LinearLR(o, 0.1, 1, 10), torch_schedules.ExponentialLR(o, 0.95)], [10]
    ),
    "warmup(10, start=0.1) > cosine": lambda o, n: torch_schedules.SequentialLR(
        o, [torch_schedules.LinearLR(o, 0.1, 1, 10), torch_schedules.CosineAnnealingLR(o, n - 10)], [10]
    ),
    "constant(0.1) over 10 > constant over 20% > step(8, 0.5)": lambda o, n: torch_schedules.SequentialLR(
        o,
        [
            torch_schedules.ConstantLR(o, 0.1, 100),
            torch_schedules.ConstantLR(o, 1.0, 100),
            torch_schedules.StepLR(o, 8, 0.5),
        ],
        [10, 10 + n // 5],
    ),
}


@pytest.mark.parametrize("steps", [40, 1000])
@pytest.mark.parametrize("spec", CASES)
def test_equal_to_torch_over_the_whole_length(spec, steps):
    theirs = learning_rates(lambda optimizer: CASES[spec](optimizer, steps), steps)
    np.testing.assert_allclose(LR * factors(parse(spec), steps), theirs, rtol=1e-12, atol=1e-14 * LR)


@pytest.mark.parametrize("end", [0.0, 0.25])
def test_the_tail_of_a_cosine_keeps_its_digits(end):
    """Where the sum 1 + cos(π p) has lost half of its sixteen digits, ours has lost none (fifty digits decide)."""
    steps = 10_000
    with mpmath.workdps(50):
        for step in (1, 5000, 9000, 9990, 9999):
            exact = end + (1 - end) * (1 + mpmath.cos(mpmath.pi * step / steps)) / 2
            assert math.isclose(parse(f"cosine(end={end})")(step, steps), exact, rel_tol=1e-15)


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
@pytest.mark.parametrize(("patience", "cooldown", "lowest"), [(0, 0, 0), (3, 0, 0.02), (2, 4, 0)])
def test_plateau_is_equal_to_torch(mode, threshold_mode, patience, cooldown, lowest):
    generator = np.random.default_rng(7)
    values = [*np.abs(np.cumsum(generator.normal(size=80))), math.nan, *generator.normal(5, 0.1, size=40)]
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = torch_schedules.ReduceLROnPlateau(
        optimizer,
        mode=mode,
        factor=0.5,
        patience=patience,
        threshold=0.01,
        threshold_mode=threshold_mode,
        cooldown=cooldown,
        min_lr=lowest,
        eps=0,
    )
    ours = parse(
        f"plateau(gamma=0.5, patience={patience}, threshold=0.01, threshold_mode={threshold_mode}, "
        f"cooldown={cooldown}, lowest={lowest}, mode={mode})"
    )
    for seen in range(len(values)):
        assert math.isclose(ours(seen, 200, values[:seen]), optimizer.param_groups[0]["lr"], rel_tol=1e-12)
        scheduler.step(values[seen])
    assert optimizer.param_groups[0]["lr"] < 1
