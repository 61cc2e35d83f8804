"""Whether a network can tell samples apart: what erases them is found, what only hides them for now is not."""

import pytest
import torch
from torch import nn

import thalweg
from thalweg.diagnosis.judging import judge
from thalweg.diagnosis.measures.ignored import ignored_measures
from thalweg.i18n import LANGUAGES, speaking
from thalweg.probes.batches import Batch
from thalweg.probes.copies import Copy


PICTURES = torch.randn(12, 3, 8, 8, generator=torch.Generator().manual_seed(0))
ROWS = torch.randn(12, 6, generator=torch.Generator().manual_seed(1))
TOKENS = torch.randint(2, 20, (12, 9), generator=torch.Generator().manual_seed(2))
PADDED = TOKENS.masked_fill(torch.arange(9) >= torch.arange(4, 8).repeat(3)[:, None], 0)
PADDED[:, 0] = 1  # the same sign begins every sentence


class Reader(nn.Module):
    """Attention over tokens; the output at the first one is read."""

    def __init__(self, hides, *, mean=False):
        super().__init__()
        self.table, self.out = nn.Embedding(20, 8), nn.Linear(8, 3)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
        self.hides, self.mean = hides, mean

    def forward(self, tokens, mask=None):
        hidden = self.layer(self.table(tokens), src_key_padding_mask=self.hides(tokens) if mask is None else mask)
        return self.out(hidden.mean(dim=1) if self.mean else hidden[:, 0])


def measured(model, inputs):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return ignored_measures(Copy.of(model, optimizer, nn.MSELoss()), Batch(inputs, torch.zeros(12)))


def conv(*middle):
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveMaxPool2d(1), *middle, nn.Flatten(), nn.Linear(8, 4))


def pads(tokens):
    return tokens == 0


def words(tokens):
    return tokens != 0


@pytest.mark.parametrize(
    ("erased", "well", "inputs"),
    [
        (conv(nn.GroupNorm(8, 8)), conv(nn.GroupNorm(1, 8)), PICTURES),
        (Reader(words), Reader(pads), PADDED),
        (nn.Sequential(nn.Linear(6, 1), nn.LayerNorm(1)), nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8)), ROWS),
        (nn.Sequential(nn.Linear(6, 1), nn.Softmax(1)), nn.Sequential(nn.Linear(6, 2), nn.Softmax(1)), ROWS),
    ],
    ids=["a norm of single pixels", "a mask the wrong way round", "a norm of one unit", "a softmax of one unit"],
)
def test_what_erases_the_inputs_is_found_and_its_repaired_twin_is_not(erased, well, inputs):
    assert measured(erased, inputs)["inputs_seen"] == 0.0
    assert measured(well, inputs)["inputs_seen"] > 0.3


def test_a_mask_that_is_given_tells_nothing_of_a_sample():
    assert measured(Reader(None), (PADDED, words(PADDED))) == {"inputs_seen": 0.0}
    assert measured(Reader(None), (PADDED, pads(PADDED)))["inputs_seen"] > 0.3


@torch.no_grad()
def hidden_for_now(kind):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    if kind == "dead":
        model[0].bias.fill_(-100.0)
    else:
        model[2].weight.zero_()
    return model


@pytest.mark.parametrize("kind", ["dead", "zero"])
def test_what_other_weights_see_is_not_called_ignored(kind):
    assert measured(hidden_for_now(kind), ROWS)["inputs_seen"] > 0.3


class Rounded(nn.Module):
    """A threshold: no gradient passes, and the outputs depend on the inputs."""

    def __init__(self):
        super().__init__()
        self.out = nn.Linear(6, 2)

    def forward(self, rows):
        return self.out((rows > 0).to(rows.dtype))


class Single(nn.Module):
    """A pass that names its own precision."""

    def __init__(self, *last):
        super().__init__()
        self.norm, self.out = nn.Sequential(nn.Linear(6, 4), *last), nn.Linear(4, 2)

    def forward(self, rows):
        return self.out(self.norm(rows.float()))


class Table(nn.Module):
    """Users and things, looked up column by column."""

    def __init__(self):
        super().__init__()
        self.users, self.things = nn.Embedding(20, 4), nn.Embedding(20, 4)

    def forward(self, pairs):
        return (self.users(pairs[:, 0]) * self.things(pairs[:, 1])).sum(dim=1)


class Last(nn.Module):
    """The last step of a recurrent network, which takes the embedded tokens."""

    def __init__(self):
        super().__init__()
        self.table, self.cell, self.out = nn.Embedding(20, 4), nn.GRU(4, 8, batch_first=True), nn.Linear(8, 2)

    def forward(self, tokens):
        return self.out(self.cell(self.table(tokens))[0][:, -1])


@pytest.mark.parametrize(
    ("model", "inputs"),
    [
        (Rounded(), ROWS),
        (Last(), TOKENS),
        (Reader(pads, mean=True), PADDED),
        (nn.Sequential(*(layer for _ in range(8) for layer in (nn.Linear(6, 6), nn.Sigmoid()))), ROWS),
    ],
    ids=["a threshold", "recurrent", "a mean of tokens", "eight sigmoids"],
)
def test_networks_that_see_their_inputs(model, inputs):
    assert measured(model, inputs)["inputs_seen"] > 0.3


def test_a_pass_that_names_its_own_precision():
    assert measured(Single(), ROWS)["inputs_seen"] == 1.0
    assert measured(Single(nn.Threshold(1e9, 0.0)), ROWS) == {"inputs_seen": 0.0, "erased_at": 3.0}


def test_what_cannot_be_told_is_not_told():
    assert measured(Table(), TOKENS[:, :2]) == {}
    assert measured(nn.Linear(6, 2), torch.ones(12, 6)) == {}
    assert measured(nn.Linear(6, 2), ROWS.clone().fill_diagonal_(torch.nan)) == {}


def test_the_layer_that_erases_is_named():
    torch.manual_seed(0)
    model, labels = conv(nn.GroupNorm(8, 8)), torch.arange(12) % 4
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with thalweg.watch(model, optimizer) as watch:
        for _ in range(20):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(PICTURES), labels)
            loss.backward()
            optimizer.step()
            watch.step(loss)
    verdict = watch.diagnose(batch=(PICTURES, labels), loss_fn=nn.functional.cross_entropy, seconds=0.1)
    assert verdict.code == "inputs_ignored"
    assert "`model[3]` (GroupNorm)" in verdict.fixes[0].line


def test_the_verdict():
    numbers = {"steps": 200.0, "inputs_seen": 0.0, "loss_constant": 2.3, "loss_last": 2.3, "falling": 0.0, "left": 1.0}
    assert judge(numbers).code == "inputs_ignored"
    assert judge(numbers | {"tried_standardized": 0.4}).code == "bad_inputs"  # too small to be seen, but not ignored
    assert judge(numbers | {"loss_last": 0.5, "falling": 0.3, "left": 0.2}).code != "inputs_ignored"
    assert judge(numbers | {"samples_mixed": 1.0}).code == "samples_mixed"


@pytest.mark.parametrize("mask", [words, pads])
def test_a_training_with_the_mask_either_way_round(mask):
    torch.manual_seed(0)
    model, labels = Reader(mask), torch.arange(12) % 3
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    with thalweg.watch(model, optimizer) as watch:
        for _ in range(30):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(PADDED), labels)
            loss.backward()
            optimizer.step()
            watch.step(loss)
    verdict = watch.diagnose(batch=(PADDED, labels), loss_fn=nn.functional.cross_entropy, seconds=0.1)
    assert (verdict.code == "inputs_ignored") == (mask is words)


class Tagger(nn.Module):
    """A recurrent network of which one output is read."""

    def __init__(self, read):
        super().__init__()
        self.table, self.layer, self.out = nn.Embedding(20, 8), nn.GRU(8, 8, batch_first=True), nn.Linear(8, 3)
        self.read = read

    def forward(self, tokens):
        return self.out(self.layer(self.table(tokens))[0][:, self.read])


def test_the_first_output_of_a_recurrent_layer_has_seen_one_word():
    torch.manual_seed(0)
    assert measured(Tagger(0), TOKENS)["inputs_seen"] == pytest.approx(1 / 9)
    assert measured(Tagger(-1), TOKENS)["inputs_seen"] == 1


def test_a_network_that_sees_few_of_its_inputs_while_all_of_them_tell_more():
    numbers = {"steps": 200.0, "falling": 0.2, "to_constant": 0.5, "left": 0.5, "learns": 1.0}
    few = numbers | {"inputs_seen": 0.1, "avoidable": 0.3}
    verdict = judge(few)
    assert verdict.code == "inputs_ignored"
    assert [fix.code for fix in verdict.fixes] == ["see_all"]
    assert "small part" in verdict.text
    assert judge(few | {"avoidable": 0.1}).code == "healthy"
    assert judge(few | {"inputs_seen": 0.7}).code != "inputs_ignored"


def test_units_that_died_hide_inputs_from_the_weights_of_now_alone():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))
    with torch.no_grad():
        model[0].bias.fill_(-50)
        model[0].bias[0] = 50
        model[0].weight[0, 1:] = 0  # the one that lives looks at one column
    assert measured(model, ROWS)["inputs_seen"] == 1


def test_layers_that_get_no_gradient_because_nothing_of_the_inputs_passes():
    cut = {"steps": 200.0, "falling": 0.0, "to_constant": 1.0, "left": 1.0, "gradless": 0.9}
    verdict = judge(cut | {"inputs_seen": 0.0})
    assert verdict.code == "inputs_ignored"
    assert verdict.alternatives[0][0] == "untrained_parameters"
    assert judge(cut | {"inputs_seen": 1.0}).code == "untrained_parameters"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_branch_that_is_never_joined(language):
    """What takes some columns of a table never gets a gradient, as it is computed and left."""
    unjoined = {"steps": 300.0, "falling": 0.0, "to_constant": 0.8, "left": 0.8, "gradless": 0.3, "inputs_seen": 0.6}
    with speaking(language):
        verdict = judge(unjoined | {"inputs_columns": 1.3})
        assert verdict.code == "inputs_ignored"
        assert [fix.code for fix in verdict.fixes] == ["each_column"]
        assert "cat([a, a])" in str(verdict)
    assert judge(unjoined).code == "untrained_parameters"  # of pictures, whose border nothing may read
    assert judge(unjoined | {"inputs_columns": 1.3, "missing": 0.3}).code == "untrained_parameters"
    assert judge(unjoined | {"inputs_columns": 1.3, "inputs_seen": 1.0}).code == "untrained_parameters"
