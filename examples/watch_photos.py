"""Watch a small CNN on the built-in photos with two lines; then break it on purpose.

This is the loop of every introduction, with its usual mistake: `zero_grad` is forgotten.
"""

import io

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn.functional import cross_entropy

import thalweg
from thalweg.data import open_images


def load(count):
    photos = open_images("builtin")
    chosen = photos.split("train")
    chosen = chosen[:: len(chosen) // count]
    pixels_NHW = np.stack([np.asarray(Image.open(io.BytesIO(photos.read(photo))).convert("L")) for photo in chosen])
    return torch.from_numpy(pixels_NHW)[:, None].float(), torch.tensor([photo.label for photo in chosen])


def network():
    return nn.Sequential(
        nn.Conv2d(1, 16, 3),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.25),
        nn.Flatten(),
        nn.Linear(32 * 12 * 12, 64),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(64, 10),
    )


def train(pictures, labels, *, forget_zero_grad=False):
    torch.manual_seed(0)
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    model.train()
    with thalweg.watch(model, optimizer) as watch:  # the first line
        for _ in range(2):
            for chosen in torch.randperm(len(labels)).split(32):
                data, target = pictures[chosen], labels[chosen]
                if not forget_zero_grad:
                    optimizer.zero_grad()
                output = model(data)
                loss = cross_entropy(output, target)
                loss.backward()
                optimizer.step()
                watch.step(loss)  # the second
    return watch.diagnose(batch=(data, target), loss_fn=cross_entropy, seconds=3)


pictures_N1HW, labels_N = load(1500)
pictures_N1HW = (pictures_N1HW - pictures_N1HW.mean()) / pictures_N1HW.std()
print("--- as it should be\n", train(pictures_N1HW, labels_N), sep="")
print("\n--- without zero_grad\n", train(pictures_N1HW, labels_N, forget_zero_grad=True), sep="")
