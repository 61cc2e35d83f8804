"""Speed and accuracy of the extreme Hessian eigenvalues, and of a landscape, interleaved with peers.

    python benchmarks/curvature.py                    # creates a virtual environment for the peers, then measures
    python benchmarks/curvature.py --peers PYTHON     # uses an environment that already has them

Ours runs in this process, the peers in another that answers line by line, all on the same network, weights and batch:
784-1024-512-10 with ReLU (1.3 M parameters), cross-entropy, 128 examples, float32. The reference is Lanczos in float64
until the error bound is below 1e-8 of the eigenvalue.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from _peer import Peer


ROOT = Path(__file__).parents[1]
PEERS = ROOT / "build" / "peers-curvature"
# The second list is installed without dependencies: one package requires torchvision, which would replace torch.
REQUIREMENTS = ("torch=={torch}", "numpy", "scipy", "tqdm", "hessian-eigenthings==1.0.0a5")
ALONE = (
    *("pyhessian==0.1", "curvlinops-for-pytorch==3.0.1", "loss-landscapes==3.0.6", "backpack-for-pytorch"),
    *("einops", "einconv", "linear_operator", "opt-einsum", "unfoldNd", "jaxtyping", "wadler-lindig"),
)
EIGEN_PEERS = ("pyhessian", "eigenthings", "eigenthings default", "curvlinops")
STEPS = {"initial weights": 0, "after 60 steps": 60}
SIZES, EXAMPLES = (784, 1024, 512, 10), 128
LANDSCAPE, SEEN, POINTS = (784, 256, 128, 10), 512, 41


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--rounds", type=int, default=5, help="turns of each side; the best counts")
    arguments.add_argument("--peers", type=Path, default=PEERS / "bin" / "python", help="the peers' Python")
    arguments.add_argument("--answer", action="store_true", help="what the peers' process runs")
    chosen = arguments.parse_args()
    if chosen.answer:
        answer_for_peers()
        return
    import torch

    print(f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, {processor()}, load {os.getloadavg()[0]:.1f}")
    version = torch.__version__.split("+")[0]
    installs = [wanted.format(torch=version) for wanted in REQUIREMENTS], ["--no-deps", *ALONE]
    with Peer(__file__, chosen.peers, *installs) as peers:
        found = {"python": platform.python_version(), "torch": torch.__version__, **peers.ask("versions")}
        print(", ".join(f"{name} {version}" for name, version in found.items()))
        print(f"1024² matrix product: {calibration():.1f} GFLOP/s here, {peers.ask('calibration'):.1f} there")
        for weights, steps in STEPS.items():
            show_eigenvalue(weights, steps, peers, chosen.rounds)
        show_saddles()
        show_landscape(peers, chosen.rounds)


def show_eigenvalue(weights: str, steps: int, peers: Peer, rounds: int) -> None:
    truth = true_largest(steps)
    sides = {"thalweg": lambda: ours(steps)}
    sides |= {name: lambda name=name: peers.ask(f"{name}/{steps}") for name in EIGEN_PEERS}
    answers: dict[str, list[dict[str, Any]]] = {name: [] for name in sides}
    for _ in range(rounds + 1):
        for name, run in sides.items():
            answers[name].append(run())
    print(f"\nlargest eigenvalue, {weights}: {truth:.6f}")
    print(f"  {'':<20} {'ms':>9} {'products':>9} {'error':>9}   says")
    for name, turns in answers.items():
        best = min(turn["seconds"] for turn in turns[1:])
        last = turns[-1]
        error = abs(last["value"] - truth) / truth
        print(f"  {name:<20} {best * 1e3:>9,.1f} {last['products']:>9} {error:>9.1e}   {last['says']}")


def ours(steps: int) -> dict[str, Any]:
    import torch

    from thalweg.diagnosis import HessianOperator, extremes

    model, inputs, targets = network(steps)
    begun = time.perf_counter()
    with HessianOperator(model, torch.nn.functional.cross_entropy, [(inputs, targets)]) as hessian:
        found = extremes(hessian, which="largest")
    seconds = time.perf_counter() - begun
    end = found.largest
    says = f"error {end.error / end.value:.1e}, residual {end.residual / end.value:.1e}, converged {end.converged}"
    return {"seconds": seconds, "value": end.value, "products": found.products, "says": says}


def true_largest(steps: int) -> float:
    import torch

    from thalweg.diagnosis import HessianOperator, extremes

    model, inputs, targets = network(steps)
    with HessianOperator(model.double(), torch.nn.functional.cross_entropy, [(inputs.double(), targets)]) as hessian:
        found = extremes(hessian, which="largest", tolerance=1e-8, most=80)
    return found.largest.value


def show_saddles() -> None:
    """Two-layer linear networks near the origin, whose symmetric spectrum hides the sign from searches by magnitude."""
    import torch

    from thalweg.diagnosis import HessianOperator, extremes

    right, most = 0, 0
    for seed in range(50):
        torch.manual_seed(seed)
        model = torch.nn.Sequential(torch.nn.Linear(20, 30, bias=False), torch.nn.Linear(30, 5, bias=False))
        with torch.no_grad():
            for weight in model.parameters():
                weight.mul_(1e-3)
        batch = torch.randn(100, 20), torch.randn(100, 5)
        with HessianOperator(model, torch.nn.functional.mse_loss, [batch]) as hessian:
            found = extremes(hessian, seed=seed)
        right += found.negative_certified
        most = max(most, found.products)
    print(f"\nnegative curvature certified at {right} of 50 saddles, with at most {most} products")


def show_landscape(peers: Peer, rounds: int) -> None:
    import torch

    from thalweg.diagnosis import landscape_of

    model, inputs, targets = perceptron(LANDSCAPE, SEEN)
    loss = torch.nn.functional.cross_entropy
    here, there = [], []
    for _ in range(rounds + 1):
        here.append(timed(lambda: landscape_of(model, loss, inputs, targets, points=POINTS)))
        there.append(peers.ask("landscape"))
    ours_best, theirs_best = min(here[1:]), min(there[1:])
    print(f"\nlandscape of {POINTS} x {POINTS} points, {SEEN} inputs, {'-'.join(map(str, LANDSCAPE))}")
    print(f"  thalweg          {ours_best:>7.3f} s")
    print(f"  loss-landscapes  {theirs_best:>7.3f} s  {theirs_best / ours_best:.1f} x")


def perceptron(sizes: tuple[int, ...], examples: int):  # noqa: ANN201 - typing it would import torch for --help
    import torch

    torch.manual_seed(0)
    layers: list[torch.nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [torch.nn.Linear(before, after), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1]), torch.randn(examples, sizes[0]), torch.randint(0, sizes[-1], (examples,))


def network(steps: int):  # noqa: ANN201 - as above
    """Return the network after gradient descent on noisy prototypes of ten classes, and the last batch."""
    import torch

    model, _, _ = perceptron(SIZES, EXAMPLES)
    prototypes = torch.randn(SIZES[-1], SIZES[0])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for step in range(steps + 1):
        targets = torch.randint(0, SIZES[-1], (EXAMPLES,))
        inputs = 0.3 * prototypes[targets] + torch.randn(EXAMPLES, SIZES[0])
        if step < steps:
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(inputs), targets).backward()
            optimizer.step()
    optimizer.zero_grad()
    return model, inputs, targets


def calibration() -> float:
    import torch

    matrix = torch.randn(1024, 1024)
    best = min(timed(lambda: matrix @ matrix) for _ in range(20))
    return 2 * 1024**3 / best / 1e9


def timed(run) -> float:  # noqa: ANN001 - a function without arguments
    begun = time.perf_counter()
    run()
    return time.perf_counter() - begun


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else ()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def answer_for_peers() -> None:
    answers = sys.stdout
    sys.stdout = sys.stderr  # some of them print
    for line in sys.stdin:
        print(json.dumps(answer(line.strip())), file=answers, flush=True)


def answer(question: str):  # noqa: ANN201 - whatever the answer is
    if question == "versions":
        from importlib.metadata import version

        names = ("pyhessian", "hessian-eigenthings", "curvlinops-for-pytorch", "scipy", "loss-landscapes")
        return {name: version(name) for name in names}
    if question == "calibration":
        return calibration()
    if question == "landscape":
        return their_landscape()
    name, steps = question.split("/")
    solve = {"pyhessian": by_pyhessian, "curvlinops": by_curvlinops}.get(name, by_eigenthings)
    model, inputs, targets = network(int(steps))
    begun = time.perf_counter()
    value, products, says = solve(model, inputs, targets, default=name.endswith("default"))
    return {"seconds": time.perf_counter() - begun, "value": value, "products": products, "says": says}


def by_pyhessian(model, inputs, targets, **_: Any) -> tuple[float, int, str]:  # noqa: ANN001 - as above
    import pyhessian
    import torch

    count = [0]
    module = sys.modules["pyhessian.hessian"]  # in the package, this name is a class
    product = module.hessian_vector_product

    def counted(*arguments: Any) -> Any:
        count[0] += 1
        return product(*arguments)

    module.hessian_vector_product = counted
    try:
        loss = torch.nn.functional.cross_entropy
        values, _ = pyhessian.hessian(model, loss, data=(inputs, targets), cuda=False).eigenvalues()
    finally:
        module.hessian_vector_product = product
    return float(values[0]), count[0], "nothing"


def by_eigenthings(model, inputs, targets, *, default: bool) -> tuple[float, int, str]:  # noqa: ANN001 - as above
    import torch
    from hessian_eigenthings import HessianOperator, lanczos, supervised_loss

    operator = HessianOperator(model, [(inputs, targets)], supervised_loss(torch.nn.functional.cross_entropy))
    options = {} if default else {"max_iter": 20, "tol": 1e-3}
    found = lanczos(operator, k=1, which="LA", seed=0, **options)
    return (
        float(found.eigenvalues[0]),
        int(found.iterations),
        f"converged {bool(torch.as_tensor(found.converged).all())}",
    )


def by_curvlinops(model, inputs, targets, **_: Any) -> tuple[float, int, str]:  # noqa: ANN001 - as above
    import torch
    from curvlinops import HessianLinearOperator
    from scipy.sparse.linalg import LinearOperator, eigsh

    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    batch = [(inputs, targets)]
    hessian = HessianLinearOperator(
        model, torch.nn.CrossEntropyLoss(), parameters, batch, check_deterministic=False
    ).to_scipy()
    count = [0]

    def counted(vector: Any) -> Any:
        count[0] += 1
        return hessian @ vector

    wrapped = LinearOperator(hessian.shape, matvec=counted, dtype=hessian.dtype)
    values = eigsh(wrapped, k=1, which="LA", tol=1e-3, return_eigenvectors=False)
    return float(values[0]), count[0], "stops at tol 1e-3"


def their_landscape() -> float:
    import loss_landscapes
    import torch
    from loss_landscapes.metrics import Loss

    model, inputs, targets = perceptron(LANDSCAPE, SEEN)
    metric = Loss(torch.nn.functional.cross_entropy, inputs, targets)

    def plane() -> None:
        with torch.no_grad():
            loss_landscapes.random_plane(model, metric, 1, POINTS, normalization="filter", deepcopy_model=True)

    return timed(plane)


if __name__ == "__main__":
    main()
