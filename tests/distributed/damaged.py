"""`thalweg` in a process whose memory loses a bit: after the third step, process 1 has another weight.

python damaged.py train ...
"""

import os

from torch.optim.optimizer import register_optimizer_step_post_hook

from thalweg.cli import main


steps = []


def damage(optimizer, *_):
    steps.append(1)
    if len(steps) == 3 and os.environ["RANK"] == "1":
        weight = optimizer.param_groups[0]["params"][0].data
        weight[(0,) * weight.ndim] += 0.01


if __name__ == "__main__":
    register_optimizer_step_post_hook(damage)
    main()
