"""Schedules: the learning rate's factor as a pure function of progress, and a small language to compose them.

A schedule is an immutable value without state: called with the step and the number of steps, it gives the factor
that multiplies the learning rate. So it can be drawn before training, a resumed run needs only the step, and
steps, epochs or seconds can drive it. The same objects drive the ball on a surface and the network.

```python
schedule = parse("warmup(5%) > cosine")
learning_rate = 0.001 * schedule(step, steps)
```

`A > B` runs A over its own length and B over what remains; B counts its steps from its own start. Percentages
always refer to the whole run; plain lengths are steps. `over` gives any schedule a length:
`constant over 60% > linear`.
"""

from thalweg.schedules.arguments import Length, Percent, in_steps
from thalweg.schedules.catalogue import names
from thalweg.schedules.chain import Chain, Over, Part
from thalweg.schedules.constant import Constant
from thalweg.schedules.cosine import Cosine
from thalweg.schedules.cosine_restarts import CosineRestarts
from thalweg.schedules.exponential import Exponential
from thalweg.schedules.inverse_sqrt import InverseSqrt
from thalweg.schedules.inverse_time import InverseTime
from thalweg.schedules.language import parse
from thalweg.schedules.linear import Linear
from thalweg.schedules.multi_step import MultiStep
from thalweg.schedules.one_cycle import OneCycle
from thalweg.schedules.plateau import Plateau
from thalweg.schedules.polynomial import Polynomial
from thalweg.schedules.schedule import Extent, Moment, Point, Schedule, extent_of, factors
from thalweg.schedules.step import Step
from thalweg.schedules.warmup import Warmup
from thalweg.schedules.wsd import WarmupStableDecay


__all__ = [
    "Chain",
    "Constant",
    "Cosine",
    "CosineRestarts",
    "Exponential",
    "Extent",
    "InverseSqrt",
    "InverseTime",
    "Length",
    "Linear",
    "Moment",
    "MultiStep",
    "OneCycle",
    "Over",
    "Part",
    "Percent",
    "Plateau",
    "Point",
    "Polynomial",
    "Schedule",
    "Step",
    "Warmup",
    "WarmupStableDecay",
    "extent_of",
    "factors",
    "in_steps",
    "names",
    "parse",
]
