# %% [markdown] en
# # How optimizers move
#
# An error surface of two weights shows what an optimizer does in millions of them: a valley that is steep one way and flat
# the other.

# %% [markdown] zh-CN
# # 优化器怎样移动
#
# 只有两个权重的误差表面，就能看出优化器在数百万个权重中的行为：这是一个山谷，一个方向陡峭，另一个方向平坦。

# %%
import importlib.util

if importlib.util.find_spec("thalweg") is None:  # Colab, Kaggle
    get_ipython().run_line_magic("pip", "install --quiet thalweg")

# %% zh-CN
from thalweg.i18n import set_language

set_language("zh-CN")

# %% [markdown] en
# ## Gradient descent zigzags, momentum goes on, Adam scales
#
# A trace is an optimizer's path. It keeps every step with its parts: the direction *m*, the scale *σ* and the learning rate *η*.

# %% [markdown] zh-CN
# ## 梯度下降来回折返，动量保持方向，Adam 缩放步长
#
# 轨迹是优化器走过的路径，保留每一步的各个部分：方向 *m*、尺度 *σ* 和学习率 *η*。

# %%
import thalweg
from thalweg import surfaces

valley = surfaces.get("valley")
thalweg.trace(valley, "sgd", lr=0.195, steps=300)

# %%
thalweg.trace(valley, "momentum", lr=0.05, steps=300)

# %%
adam = thalweg.trace(valley, "adam", lr=0.1, steps=300)
adam

# %% [markdown] en
# Why was a step so long? The charts beside the path say it.

# %% [markdown] zh-CN
# 某一步为什么这么长？路径旁的图表给出答案。

# %%
adam.draw()

# %% [markdown] en
# ## The learning rate decides
#
# Four optimizers at thirteen learning rates from one start: each has a range that works.

# %% [markdown] zh-CN
# ## 学习率起决定作用
#
# 四个优化器各用十三个学习率，从同一起点出发：每个优化器都有自己的可用范围。

# %%
import numpy as np

from thalweg.paths import sweep

sweep(valley, ["sgd", "momentum", "rmsprop", "adam"], np.geomspace(1e-3, 1, 13), steps=100)

# %% [markdown] en
# ## The same for a network
#
# `find_lr` searches for the learning rate of any model on copies of it. The model itself stays as it is.

# %% [markdown] zh-CN
# ## 换成神经网络
#
# `find_lr` 在副本上为任何模型寻找学习率，模型本身不变。

# %%
import torch

torch.manual_seed(0)
inputs = torch.randn(2048, 20)
labels = (inputs[:, :2].norm(dim=1) > 1.2).long()
batches = list(zip(inputs.split(32), labels.split(32), strict=True))
model = torch.nn.Sequential(torch.nn.Linear(20, 64), torch.nn.ReLU(), torch.nn.Linear(64, 2))
thalweg.find_lr(model, torch.optim.Adam, batches, torch.nn.functional.cross_entropy)
