# %% [markdown] en
# # The homework: classify photos of food
#
# Hung-yi Lee's third homework, from the photos to `submission.csv` and two t-SNE pictures. As it stands, this notebook
# uses the photos of clothes that come with thalweg and takes a minute or two on two cores. Put the photos of food below.

# %% [markdown] zh-CN
# # 作业：给食物照片分类
#
# 李宏毅课程的第三次作业：从照片到 `submission.csv`，再加两张 t-SNE 图。本 notebook 默认使用 thalweg 自带的服装照片，
# 在两个 CPU 核上只要一两分钟。食物照片放在哪里，见下文。

# %%
import importlib.util

if importlib.util.find_spec("thalweg") is None:  # Colab, Kaggle
    get_ipython().run_line_magic("pip", "install --quiet thalweg")

# %% zh-CN
from thalweg.i18n import set_language

set_language("zh-CN")

# %% [markdown] en
# ## The photos
#
# For the homework, fetch the 13,394 photos of food-11 once, and set `PHOTOS`, `RECIPE` and `OPTIONS` as in the comments:
#
# ```sh
# git clone https://www.modelscope.cn/datasets/Datawhale/LeeDL-HW3-CNN.git food11   # or: thalweg data get food11
# ```
#
# `homework` is exactly the recipe of the course's notebook. A folder of your own works, too: one folder for each class.

# %% [markdown] zh-CN
# ## 照片
#
# 做作业时，先下载一次 food-11 的 13,394 张照片，再按注释设置 `PHOTOS`、`RECIPE` 和 `OPTIONS`：
#
# ```sh
# git clone https://www.modelscope.cn/datasets/Datawhale/LeeDL-HW3-CNN.git food11   # 或：thalweg data get food11
# ```
#
# `homework` 就是课程 notebook 的训练方案。你自己的照片也行：每个类别一个文件夹。

# %%
import thalweg

PHOTOS, RECIPE = "builtin", "quick"  # "food11", "homework"
OPTIONS = {"epochs": 3}  # {"classes": "food11"}

thalweg.open_images(PHOTOS)

# %% [markdown] en
# ## Train
#
# The chart grows while the network trains. Interrupting the kernel saves the run, and `thalweg.resume(run)` goes on.
# For the second question of the homework, train once more with `model="residual"`.

# %% [markdown] zh-CN
# ## 训练
#
# 训练时，曲线会不断延长。中断内核时，运行会保存下来；`thalweg.resume(run)` 可继续训练。
# 作业的第二问：再用 `model="residual"` 训练一次。

# %%
run = thalweg.train(PHOTOS, recipe=RECIPE, **OPTIONS)

# %%
run

# %% [markdown] en
# ## What the network sees as similar
#
# The third question: t-SNE of the features of a middle layer and of the top layer. Each point is a photo of the validation
# split. In the middle layer, photos that look alike lie together; in the top layer, photos that the network takes for the
# same class.

# %% [markdown] zh-CN
# ## 网络认为哪些照片相似
#
# 第三问：对中间层和顶层的特征做 t-SNE。每个点是验证集的一张照片。在中间层，外观相近的照片靠在一起；
# 在顶层，网络认为属于同一类别的照片靠在一起。

# %%
run.draw("tsne-mid")

# %%
run.draw("tsne-top")

# %% [markdown] en
# ## Predict
#
# `submission.csv` has a row for every photo of the test split.

# %% [markdown] zh-CN
# ## 预测
#
# `submission.csv` 为测试集的每张照片各写一行。

# %%
from thalweg.prediction import write_submission

predictions = thalweg.predict(run, PHOTOS)
write_submission(predictions, "submission.csv")
predictions

# %%
with open("submission.csv", encoding="utf-8") as file:
    print("".join(file.readlines()[:4]))
