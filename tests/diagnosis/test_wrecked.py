"""What wrecked a training is told from what it looks like now: NaN among the inputs, the rate, a head nobody trains."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss

import thalweg
from thalweg.diagnosis.judging import judge
from thalweg.diagnosis.measures.batch import of_batch
from thalweg.probes.batches import Batch
from thalweg.probes.marks import Given, is_nonfinite


def table(count=320):
    """Twelve columns, of which four tell the class."""
    draw = torch.Generator().manual_seed(0)
    inputs_NF = torch.randn(count, 12, generator=draw)
    return inputs_NF, (inputs_NF[:, 0] > 0).long() + 2 * (inputs_NF[:, 1] + inputs_NF[:, 2] > 0).long()


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(12, 24), nn.ReLU(), nn.Linear(24, 4))


def diagnosed(model, optimizer, data, loss_fn, *, steps=120, batch=32):
    inputs_NF, targets_N = data
    with thalweg.watch(model, optimizer) as watch:
        for step in range(steps):
            rows = torch.arange(step * batch, (step + 1) * batch) % len(inputs_NF)
            optimizer.zero_grad()
            loss = loss_fn(model(inputs_NF[rows]), targets_N[rows])
            loss.backward()
            optimizer.step()
            watch.step(loss)
    return watch.diagnose(batch=(inputs_NF[:batch], targets_N[:batch]), loss_fn=loss_fn, seconds=3)


def with_holes(rows):
    inputs_NF, labels_N = table()
    inputs_NF[rows, 5] = torch.nan
    return inputs_NF, labels_N


class FillsHoles(nn.Module):
    """Takes NaN for a missing value, on purpose."""

    def __init__(self):
        super().__init__()
        self.inner = network()

    def forward(self, inputs_NF):
        return self.inner(inputs_NF.nan_to_num(0.0))


def test_nan_in_a_batch_that_is_not_at_hand_is_seen_when_it_passes():
    model = network()
    verdict = diagnosed(model, torch.optim.Adam(model.parameters(), 1e-2), with_holes([70, 75]), cross_entropy)
    assert verdict.measures["inputs_nonfinite"] == 0  # the batch at hand is whole
    assert (verdict.code, verdict.confidence) == ("bad_inputs", pytest.approx(1, abs=0.1))
    assert "NaN" in verdict.text
    assert verdict.fixes[0].code == "check_inputs", "no scale makes a number of NaN"
    assert 0 < verdict.measures["nonfinite_inputs"] < 0.5


def test_a_network_that_takes_nan_for_a_missing_value_is_not_accused():
    model = FillsHoles()
    verdict = diagnosed(model, torch.optim.Adam(model.parameters(), 1e-2), with_holes([70, 75]), cross_entropy)
    assert verdict.measures["nonfinite_inputs"] > 0
    assert verdict.code in {"healthy", "converged"}


@pytest.mark.parametrize(("model", "code"), [(FillsHoles(), "healthy"), (network(), "bad_inputs")])
def test_nan_in_the_batch_at_hand_counts_where_it_reaches_the_outputs(model, code):
    verdict = diagnosed(model, torch.optim.Adam(model.parameters(), 1e-2), with_holes([3, 70]), cross_entropy)
    assert verdict.measures["inputs_nonfinite"] > 0
    assert (verdict.measures["outputs_nonfinite"] > 0) == (code == "bad_inputs")
    assert verdict.code == code


@pytest.mark.parametrize(("copied_over", "code"), [(True, "healthy"), (False, "untrained_parameters")])
def test_a_master_copy_trains_the_model_only_if_its_weights_are_copied_over(copied_over, code):
    model = network().bfloat16()
    master = [nn.Parameter(parameter.detach().float()) for parameter in model.parameters()]
    optimizer = torch.optim.Adam(master, 1e-2)
    inputs_NF, labels_N = table()
    inputs_NF = inputs_NF.bfloat16()
    with thalweg.watch(model, optimizer) as watch:
        for _ in range(60):
            model.zero_grad()
            loss = cross_entropy(model(inputs_NF).float(), labels_N)
            loss.backward()
            for own, parameter in zip(master, model.parameters(), strict=True):
                own.grad = parameter.grad.float()
            optimizer.step()
            if copied_over:
                with torch.no_grad():
                    for own, parameter in zip(master, model.parameters(), strict=True):
                        parameter.copy_(own)
            watch.step(loss)
    verdict = watch.diagnose(batch=(inputs_NF, labels_N), loss_fn=lambda o, y: cross_entropy(o.float(), y), seconds=1)
    assert verdict.measures["foreign"] == 1.0
    assert verdict.code == code


def test_a_loss_that_makes_nan_from_whole_inputs_is_not_put_down_to_them():
    model = network()

    def loss_fn(outputs_NC, labels_N):  # the logarithm of what a ReLU has cut to zero
        return -(outputs_NC.relu().gather(1, labels_N[:, None]) * 0.0).log().mean()

    verdict = diagnosed(model, torch.optim.SGD(model.parameters(), 1e-2), table(), loss_fn, steps=30)
    assert verdict.measures["nonfinite_inputs"] == 0
    assert verdict.code != "bad_inputs"


@pytest.mark.parametrize(("rate", "code"), [(0.5, "lr_too_large"), (1e-3, None)])
def test_a_rate_that_wrecked_the_weights_is_named_since_copies_from_the_start_learn_at_a_lower_one(rate, code):
    draw = torch.Generator().manual_seed(1)
    inputs_NF = torch.randn(320, 12, generator=draw)
    targets_N1 = inputs_NF[:, :1] - 2 * inputs_NF[:, 1:2]
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 24), nn.ReLU(), nn.Linear(24, 1))

    def summed(outputs_N1, targets_N1):
        return mse_loss(outputs_N1, targets_N1, reduction="sum")

    verdict = diagnosed(model, torch.optim.SGD(model.parameters(), rate), (inputs_NF, targets_N1), summed)
    if code:
        assert verdict.measures["nonfinite_step"] > 0
        assert verdict.code == code
        assert "at a lower rate" in verdict.text
    else:
        assert verdict.code in {"healthy", "converged"}


@pytest.mark.slow
@pytest.mark.parametrize("handed_over", [False, True])
def test_a_new_head_that_the_optimizer_does_not_have_is_named_however_small_it_is_beside_what_is_frozen(handed_over):
    torch.manual_seed(0)
    body = nn.Sequential(nn.Linear(12, 400), nn.ReLU(), nn.Linear(400, 400), nn.ReLU()).requires_grad_(False)
    model = nn.Sequential(body, nn.Linear(400, 4))
    trained = model[1].parameters() if handed_over else body.parameters()
    verdict = diagnosed(model, torch.optim.Adam(trained, 1e-3), table(), cross_entropy)
    assert verdict.measures["missing"] == (0 if handed_over else 1)
    assert ("missing" in [one.name for one in verdict.evidence]) is not handed_over


def topics(count=640):
    """Twelve words of two hundred, of which a third are those of one topic in four."""
    draw = torch.Generator().manual_seed(0)
    topic_N = torch.randint(4, (count,), generator=draw)
    words_NT = torch.randint(200, (count, 12), generator=draw)
    of_topic_NT = torch.rand(count, 12, generator=draw) < 0.35
    return torch.where(of_topic_NT, words_NT // 4 * 4 + topic_N[:, None], words_NT), topic_N


class MeanWord(nn.Module):
    def __init__(self, vectors_VC):
        super().__init__()
        self.words = nn.Embedding.from_pretrained(vectors_VC)  # which freezes them
        self.head = nn.Linear(vectors_VC.shape[1], 4)

    def forward(self, words_NT):
        return self.head(self.words(words_NT).mean(1))


@pytest.mark.slow
@pytest.mark.parametrize("of_topics", [False, True])
def test_frozen_vectors_that_nothing_can_be_learned_from_are_told_from_those_that_are_meant_to_be_frozen(of_topics):
    torch.manual_seed(0)
    vectors_VC = torch.randn(200, 12) * 0.3
    if of_topics:
        vectors_VC += nn.functional.one_hot(torch.arange(200) % 4, 12)
    model = MeanWord(vectors_VC)
    optimizer = torch.optim.Adam(model.head.parameters(), 1e-2)
    verdict = diagnosed(model, optimizer, topics(), cross_entropy, steps=200)
    assert verdict.measures["frozen"] > 0.9
    assert (verdict.code == "untrained_parameters") is not of_topics
    if not of_topics:
        assert verdict.fixes[0].code == "unfreeze"
        assert verdict.measures["tried_unfrozen"] > 0.2


def test_what_is_frozen_is_not_accused_where_copies_that_train_it_learn_no_more():
    numbers = {"steps": 150.0, "frozen": 0.7, "falling": 0.0, "fit_left": 0.57, "to_constant": 0.82, "left": 0.8}
    assert judge(numbers).code == "untrained_parameters"
    assert judge(numbers | {"tried_unfrozen": 0.02}).code == "unsure"  # the labels are noisy
    numbers |= {"falling": 0.03, "to_constant": 0.94, "tried_unfrozen": 0.3}
    assert judge(numbers).code == "untrained_parameters"
    assert "copies that train all weights" in judge(numbers).text
    assert judge(numbers | {"fit_left": 0.1}).code != "untrained_parameters"
    assert judge(numbers | {"to_constant": 0.7}).code != "untrained_parameters"


@pytest.mark.slow
@pytest.mark.parametrize("scale", [1.0, 1 / 255])
def test_pixels_that_were_divided_by_255_twice_are_named_by_what_larger_ones_would_do(scale):
    """Most pixels lie at the border, where the first batch shows next to nothing."""
    draw = torch.Generator().manual_seed(0)
    inputs_NF, labels_N = table(640)
    border_NF = torch.rand(640, 400, generator=draw) ** 8 * (torch.rand(640, 400, generator=draw) < 0.03)
    pixels_NF = torch.cat([inputs_NF.sigmoid(), border_NF], dim=1) * scale
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(412, 24), nn.ReLU(), nn.Linear(24, 4))
    optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
    verdict = diagnosed(model, optimizer, (pixels_NF, labels_N), cross_entropy, steps=200)
    assert (verdict.code == "bad_inputs") is (scale < 1)


@pytest.mark.parametrize(("small", "codes"), [([0, 1, 2], {"bad_inputs"}), ([7, 8], {"healthy", "converged"})])
def test_columns_in_small_units_are_named_where_they_tell_what_the_others_do_not(small, codes):
    inputs_NF, labels_N = table(640)
    inputs_NF[:, small] /= 300
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    verdict = diagnosed(model, optimizer, (inputs_NF, labels_N), cross_entropy, steps=150)
    assert verdict.measures["inputs_columns_least"] > 200
    assert verdict.measures["inputs_columns"] < 2
    assert verdict.code in codes


def test_a_flag_that_is_seldom_set_is_no_column_in_small_units():
    inputs_NF = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
    inputs_NF[:, 3] = 0.0
    inputs_NF[5, 3] = 1e-3
    model = nn.Linear(4, 2)
    found = of_batch(model, cross_entropy, [Batch(inputs_NF, torch.arange(64) % 2)])
    assert found["inputs_columns_least"] < 2


@pytest.mark.parametrize(("rate", "code"), [(0.0, "untrained_parameters"), (1e-2, None)])
def test_a_group_whose_rate_is_zero_all_the_time_is_named_where_the_others_do_not_learn_without_it(rate, code):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 24), nn.ReLU(), nn.Linear(24, 1), nn.Linear(1, 4))
    groups = [{"params": model[:3].parameters(), "lr": rate}, {"params": model[3].parameters()}]
    verdict = diagnosed(model, torch.optim.Adam(groups, lr=1e-2), table(), cross_entropy)
    assert (verdict.code == "untrained_parameters") is (code is not None)
    assert (verdict.measures["stopped"] > 0.9) is (code is not None)


def test_whatever_the_inputs_are_a_look_at_them_raises_nothing_and_waits_for_no_device():
    given = Given()
    for inputs in (None, "text", torch.tensor(1.0), torch.zeros(0, 3), {"a": torch.ones(2, 3, dtype=torch.long)}):
        given.look(inputs)
    assert not given.ends
    given.look([torch.ones(4, 3), torch.full((4, 3), torch.nan)])  # the first tensor counts
    assert not is_nonfinite(given.ends)
    given.look(torch.tensor([[1.0, torch.inf], [0.0, 0.0]]))
    given.look(torch.ones(4, 3))
    assert is_nonfinite(given.ends)
    given.clear()
    assert not given.ends
