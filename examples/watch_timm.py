"""Watch a timm model with two lines while fine-tuning it; then give the optimizer only the head.

timm comes with the extra `timm`; without it, this example prints a message and stops.
"""

import sys

import torch
from sklearn.datasets import load_digits
from torch.nn.functional import cross_entropy, interpolate

import thalweg


try:
    import timm
except (ImportError, RuntimeError) as error:  # missing, or its torchvision was built for another torch
    print(f"timm cannot be imported ({error}): nothing to show. docs/extras.md says how to install it.")
    sys.exit()


def batches(steps):
    pixels, labels = load_digits(return_X_y=True)
    pictures_N3HW = interpolate(torch.tensor(pixels, dtype=torch.float32).view(-1, 1, 8, 8) / 8 - 1, size=32)
    pictures_N3HW = pictures_N3HW.expand(-1, 3, -1, -1)
    for step in range(steps):
        chosen = torch.randint(len(labels), (32,), generator=torch.Generator().manual_seed(step))
        yield pictures_N3HW[chosen], torch.from_numpy(labels)[chosen].long()


def train(*, head_only=False):
    torch.manual_seed(0)
    model = timm.create_model("resnet10t", pretrained=False, num_classes=10)
    parameters = model.get_classifier().parameters() if head_only else model.parameters()
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.05)
    with thalweg.watch(model, optimizer) as watch:  # the first line
        for inputs, targets in batches(60):
            loss = cross_entropy(model(inputs), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watch.step(loss)  # the second
    return watch.diagnose(batch=(inputs, targets), loss_fn=cross_entropy, seconds=3)


print("--- as it should be\n", train(), sep="")
print("\n--- the optimizer has the head only\n", train(head_only=True), sep="")
