# %% [markdown] en
# # Why is my training stuck?
#
# Two lines in any PyTorch loop measure a training, and `diagnose` names the cause. Watching changes no bit of the weights.
# Here a small network trains on the photos of clothes that come with thalweg: once as it should, twice with a mistake.

# %% [markdown] zh-CN
# # 我的训练为什么停滞？
#
# 在任何 PyTorch 训练循环中加两行，就能测量训练；`diagnose` 说出原因。旁观不会改变权重的任何一位。
# 这里用 thalweg 自带的服装照片训练一个小网络：一次正确，两次各有一个错误。

# %%
import importlib.util

if importlib.util.find_spec("thalweg") is None:  # Colab, Kaggle
    get_ipython().run_line_magic("pip", "install --quiet thalweg")

# %% zh-CN
from thalweg.i18n import set_language

set_language("zh-CN")

# %%
import io

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn.functional import cross_entropy

import thalweg

images = thalweg.open_images("builtin")
photos = images.split("train")[::4]
pixels = np.stack([np.asarray(Image.open(io.BytesIO(images.read(photo))).convert("L")) for photo in photos])
pictures = torch.from_numpy(pixels)[:, None].float()
pictures = (pictures - pictures.mean()) / pictures.std()
labels = torch.tensor([photo.label for photo in photos])

# %% [markdown] en
# The loop: `thalweg.watch` is the first line, `watch.step(loss)` the second.

# %% [markdown] zh-CN
# 训练循环：第一行是 `thalweg.watch`，第二行是 `watch.step(loss)`。


# %%
def train(last=nn.Identity, zero_grad=True, try_fix=False):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, stride=2), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2), nn.ReLU(),
        nn.Flatten(), nn.Linear(32 * 6 * 6, 64), nn.ReLU(), nn.Linear(64, 10), last(),
    )  # fmt: skip
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    with thalweg.watch(model, optimizer) as watch:
        for _ in range(3):
            for chosen in torch.randperm(len(labels)).split(32):
                if zero_grad:
                    optimizer.zero_grad()
                loss = cross_entropy(model(pictures[chosen]), labels[chosen])
                loss.backward()
                optimizer.step()
                watch.step(loss)
    chosen = torch.randperm(len(labels))[:96]
    return watch.diagnose(batch=(pictures[chosen], labels[chosen]), loss_fn=cross_entropy, try_fix=try_fix, seconds=5)


# %% [markdown] en
# As it should be:

# %% [markdown] zh-CN
# 正确的训练：

# %%
train()

# %% [markdown] en
# A softmax at the end, before a loss that applies one itself. The diagnosis says which line to change, and tries the
# change on a copy:

# %% [markdown] zh-CN
# 末尾多了 softmax，而损失函数自己已经做了 softmax。诊断会说明该改哪一行，并在副本上试验：

# %%
train(last=lambda: nn.Softmax(dim=1), try_fix=True)

# %% [markdown] en
# Gradients that are never cleared:

# %% [markdown] zh-CN
# 从不清零的梯度：

# %%
train(zero_grad=False)

# %% [markdown] en
# Everything that was measured is behind the last line of each verdict, and in `verdict.explain()`.
# `thalweg diagnose RUN` does the same for a run of thalweg, and `thalweg diagnose LOG` for logs of other programs.

# %% [markdown] zh-CN
# 全部测量结果在每个诊断结论的最后一行之下，也在 `verdict.explain()` 中。
# `thalweg diagnose RUN` 诊断 thalweg 的运行，`thalweg diagnose LOG` 诊断其他程序的日志。
