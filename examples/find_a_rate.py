"""Find the learning rate for any loop: one call before the loop, which itself stays unchanged."""

from functools import partial

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import thalweg


pixels, labels = load_digits(return_X_y=True)
data = TensorDataset(torch.tensor(pixels / 16, dtype=torch.float32), torch.tensor(labels))
loader = DataLoader(data, batch_size=64, shuffle=True)
model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
loss_fn = nn.CrossEntropyLoss()

for optimizer in (partial(torch.optim.SGD, momentum=0.9), torch.optim.Adam):
    sweep = thalweg.find_lr(model, optimizer, loader, loss_fn)
    print(f"{sweep} ({sweep.steps} steps on copies)")
