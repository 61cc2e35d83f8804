"""Targets among the inputs: a column that holds them, and a position that sees the next input."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss

from thalweg.diagnosis.fixes import fixes_of
from thalweg.diagnosis.judging import judge
from thalweg.diagnosis.measures.leakage import leakage_measures
from thalweg.diagnosis.measures.mixing import mixing_of
from thalweg.probes.batches import Batch


DRAW = torch.Generator().manual_seed(0)
TABLE = torch.randn(64, 5, generator=DRAW)
NUMBERS = TABLE @ torch.tensor([1.0, -2.0, 0.5, 0.0, 1.0]) + 0.1 * torch.randn(64, generator=DRAW)
LABELS = torch.randint(4, (64,), generator=DRAW)
TEXT = torch.randint(12, (6, 17), generator=DRAW)
TOKENS, NEXT = TEXT[:, :-1], TEXT[:, 1:]
# letters that follow on each other, as those of words do: every third one is drawn
WORDS = (TEXT[:, :16:3].repeat_interleave(3, dim=1) * 5 + torch.arange(18) % 3)[:, :16] % 12


def letters_loss(outputs, targets):
    """Cross-entropy of a letter at each position, in any of three shapes."""
    if outputs.ndim == 3 and outputs.shape[-1] == 12:
        outputs, targets = outputs.flatten(0, 1), targets.flatten()
    return cross_entropy(outputs, targets)


def shifting_loss(outputs, targets):
    """The loss of a library that shifts the labels itself."""
    return cross_entropy(outputs[:, :-1].flatten(0, 1), targets[:, 1:].flatten())


def of_table(inputs, targets):
    return leakage_measures(nn.Identity(), mse_loss, [Batch(inputs, targets)]).get("targets_in_column")


def with_column(column):
    return torch.cat([TABLE, column[:, None]], dim=1)


@pytest.mark.parametrize(
    ("column", "targets"),
    [
        (NUMBERS, NUMBERS),
        (3 - 2 * NUMBERS, NUMBERS[:, None]),
        (NUMBERS.exp(), NUMBERS),
        (-NUMBERS.pow(3), NUMBERS),
        (LABELS.float(), LABELS),
        (torch.tensor([2.0, -1.0, 7.0, 0.5])[LABELS], LABELS),
        ((LABELS > 1).float(), (LABELS > 1).float()),
        (LABELS.float(), nn.functional.one_hot(LABELS).float()),
    ],
    ids=["itself", "a line", "rising", "falling", "labels", "labels by other numbers", "two classes", "one-hot"],
)
def test_a_column_that_tells_the_targets(column, targets):
    assert of_table(with_column(column), targets) == 1.0
    assert of_table(TABLE, targets) == 0.0


@pytest.mark.parametrize(
    ("inputs", "targets"),
    [
        (with_column(NUMBERS + 0.05 * TABLE[:, 0]), NUMBERS),  # nearly
        (with_column(torch.arange(64.0)), LABELS),  # a number of its own for each sample
        (with_column((LABELS == 1).float()), LABELS),  # one class only
        (with_column(NUMBERS.abs()), NUMBERS),
        (with_column(torch.arange(64.0)), NUMBERS),
    ],
    ids=["nearly", "a number for each sample", "one class", "without its sign", "the order of the rows"],
)
def test_a_column_that_does_not_tell_the_targets(inputs, targets):
    assert of_table(inputs, targets) == 0.0


RARE = torch.arange(64) % 4 == 0  # 16 of 64
DAYS = torch.where(RARE, torch.arange(64.0).remainder(7) + 1, -1.0)  # only one class has them


def class_in_column(inputs, targets):
    batch = Batch(inputs, targets.float()[:, None])
    return leakage_measures(nn.Identity(), mse_loss, [batch]).get("class_in_column")


@pytest.mark.parametrize("targets", [RARE, ~RARE], ids=["rare is yes", "rare is no"])
def test_a_column_that_one_class_alone_has(targets):
    assert class_in_column(with_column(DAYS), targets) == 1.0
    assert class_in_column(with_column((DAYS - DAYS.mean()) / DAYS.std()), targets) == 1.0
    assert class_in_column(TABLE, targets) == 0.0
    verdict = judge({"steps": 100.0, "learns": 1.0, "falling": 0.1, "class_in_column": 1.0})
    assert verdict.code == "target_leakage"
    assert [fix.code for fix in verdict.fixes] == ["drop_column"]
    assert "every sample of one class" in str(verdict)


@pytest.mark.parametrize(("apart", "told"), [(30.0, 1.0), (6.0, 0.0)])
def test_a_column_in_which_the_classes_lie_far_apart(apart, told):
    """Thirty standard deviations between two bell curves are no feature of theirs; six leave no gap that is so wide."""
    assert class_in_column(with_column(RARE * apart + torch.randn(64, generator=DRAW)), RARE) == told


def one_differs(column):
    changed = column.clone()
    changed[1] = 3
    return changed


@pytest.mark.parametrize(
    "inputs",
    [
        with_column(one_differs(DAYS)),
        with_column(torch.where(torch.arange(64) == 8, -1.0, DAYS)),
        with_column(TABLE[:, 0].sign()),
        torch.cat([with_column(DAYS), (DAYS + 0.1 * TABLE[:, 0])[:, None]], dim=1),
        torch.cat([with_column(DAYS), DAYS[:, None] * 2], dim=1),
        torch.cat([TABLE, nn.functional.one_hot(DAYS.long() + 1).float()[:, 1:]], dim=1),
        DAYS[:, None],
    ],
    ids=["another value", "the same value", "a sign", "others are near", "twice", "one-hot", "one column"],
)
def test_a_column_that_both_classes_have_or_that_others_are_like(inputs):
    assert not class_in_column(inputs, RARE)


def test_the_label_of_a_sign_and_few_samples():
    assert class_in_column(TABLE, TABLE[:, 0] > 0) == 0.0
    few = torch.arange(64) < 60
    assert class_in_column(with_column(torch.where(few, -1.0, TABLE[:, 0])), ~few) is None
    half = with_column(DAYS)[:40], RARE[:40]  # 30 of the class that has no days
    assert class_in_column(*half) is None
    other = Batch(with_column(DAYS)[40:], RARE[40:].float()[:, None])
    found = leakage_measures(nn.Identity(), mse_loss, [Batch(half[0], half[1].float()[:, None])], other)
    assert found["class_in_column"] == 1.0  # of the samples that a watch kept, too


def test_samples_that_a_watch_kept_show_a_leak_that_a_batch_hardly_shows():
    labels = (torch.arange(64) % 6 == 0).float()[:, None]  # six of the batch's 32
    inputs = with_column(2 * labels[:, 0] - 1)
    batch, kept = Batch(inputs[:32], labels[:32]), Batch(inputs[32:], labels[32:])
    assert leakage_measures(nn.Identity(), mse_loss, [batch]) == {"targets_in_column": 0.0}
    assert leakage_measures(nn.Identity(), mse_loss, [batch], kept) == {"targets_in_column": 1.0}
    inexact = Batch(kept.inputs, kept.targets + 1e-4)
    assert leakage_measures(nn.Identity(), mse_loss, [batch], inexact) == {"targets_in_column": 0.0}


def test_a_curve_and_a_reconstruction_are_no_leaks():
    assert of_table(NUMBERS[:, None], NUMBERS) is None
    assert of_table(TABLE, TABLE) is None
    assert of_table(TABLE[:16], NUMBERS[:16]) is None


SERIES = torch.rand(80, generator=DRAW).cumsum(0)
GRID = torch.arange(64.0) % 16 / 4 - 2
LAGS = SERIES.unfold(0, 7, 1)


@pytest.mark.parametrize("order", [torch.arange(64), torch.randperm(64, generator=DRAW)], ids=["in order", "shuffled"])
@pytest.mark.parametrize(
    ("inputs", "targets"),
    [
        (torch.stack([NUMBERS, NUMBERS.square(), NUMBERS.sin()], dim=1), NUMBERS.exp()),
        (torch.stack([GRID, GRID.square()], dim=1), GRID.exp()),
        (LAGS[:64, :6], LAGS[:64, 6]),
        (torch.cat([LAGS[:64, :6], TABLE], dim=1), LAGS[:64, 6]),
        (torch.linspace(0, 1, 70).unfold(0, 6, 1)[:64], torch.linspace(0, 1, 70)[6:]),
    ],
    ids=[
        "functions of one variable",
        "its values repeat",
        "a rising series",
        "a rising series and other columns",
        "a trend",
    ],
)
def test_columns_of_one_variable_are_no_leaks(inputs, targets, order):
    assert not of_table(inputs[order], targets[order])  # or too few different samples
    leaking = torch.cat([TABLE, targets[:, None]], dim=1)
    assert of_table(leaking[order], targets[order]) == 1.0


class Letters(nn.Module):
    """A model of sequences of any kind."""

    def __init__(self, kind, *, shape=lambda logits: logits, time=1):
        super().__init__()
        self.table, self.out, self.kind = nn.Embedding(12, 8), nn.Linear(8, 12), kind
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
        self.cell = nn.GRU(8, 8, batch_first=time == 1)
        self.both = nn.GRU(8, 4, batch_first=True, bidirectional=True)
        self.shape = shape

    def forward(self, tokens):
        hidden = self.table(tokens)
        if self.kind == "recurrent":
            hidden = self.cell(hidden)[0]
        elif self.kind == "bidirectional":
            hidden = self.both(hidden)[0]
        else:
            mask = nn.Transformer.generate_square_subsequent_mask(tokens.shape[1]) if self.kind == "causal" else None
            hidden = self.layer(hidden, src_mask=mask)
        return self.shape(self.out(hidden))


@pytest.mark.parametrize(("kind", "seen"), [("open", 1.0), ("bidirectional", 1.0), ("causal", 0.0), ("recurrent", 0.0)])
@pytest.mark.parametrize(
    ("shape", "targets"),
    [
        (lambda logits: logits, NEXT),
        (lambda logits: logits.transpose(1, 2), NEXT),
        (lambda logits: logits.flatten(0, 1), NEXT.flatten()),
    ],
    ids=["NTC", "NCT", "flat"],
)
def test_a_position_that_sees_the_next_input(kind, seen, shape, targets):
    model = Letters(kind, shape=shape)
    assert leakage_measures(model, letters_loss, [Batch(TOKENS, targets)]) == {"next_seen": seen}


def test_time_before_samples():
    assert leakage_measures(Letters("recurrent", time=0), letters_loss, [Batch(TOKENS.T, NEXT.T)]) == {"next_seen": 0.0}


class Stateful(Letters):
    """A recurrent network that keeps its state from one pass to the next."""

    state = None

    def forward(self, tokens):
        hidden, state = self.cell(self.table(tokens), self.state)
        self.state = state.detach()
        return self.out(hidden)


def test_a_state_that_is_kept_is_no_sight_of_the_next_input():
    model = Stateful("recurrent")
    model(TOKENS)
    kept = model.state.clone()
    assert leakage_measures(model, letters_loss, [Batch(TOKENS, NEXT)]) == {"next_seen": 0.0}
    assert mixing_of(model, Batch(TOKENS, NEXT)) == {"samples_mixed": 0.0}
    assert torch.equal(model.state, kept)


class Pair(nn.Module):
    """An encoder that reads all of its source, and a decoder of what came before; or a decoder that sees all."""

    def __init__(self, kind):
        super().__init__()
        self.source, self.decoder = nn.GRU(12, 12, batch_first=True), Letters(kind)

    def forward(self, source, tokens):
        code = self.source(nn.functional.one_hot(source, 12).float())[0][:, -1:]
        return self.decoder(tokens) + code


@pytest.mark.parametrize(("kind", "seen"), [("recurrent", 0.0), ("bidirectional", 1.0)])
@pytest.mark.parametrize("source", [TOKENS, TOKENS.clone(), TOKENS.flip(1)], ids=["the same", "equal", "another"])
def test_an_encoder_may_read_all_of_its_source(kind, seen, source):
    assert leakage_measures(Pair(kind), letters_loss, [Batch((source, TOKENS), NEXT)]) == {"next_seen": seen}


def test_targets_that_are_not_the_next_inputs():
    for targets in (NEXT.flip(0), LABELS[:6]):
        assert leakage_measures(Letters("open"), letters_loss, [Batch(TOKENS, targets)]) == {}


@pytest.mark.parametrize(
    ("shape", "targets"),
    [
        (lambda logits: logits, WORDS),
        (lambda logits: logits.transpose(1, 2), WORDS),
        (lambda logits: logits.flatten(0, 1), WORDS.flatten()),
    ],
    ids=["NTC", "NCT", "flat"],
)
@pytest.mark.parametrize(("kind", "seen"), [("causal", 1.0), ("recurrent", 1.0), ("open", 0.0), ("bidirectional", 0.0)])
def test_labels_that_are_not_shifted(kind, seen, shape, targets):
    model = Letters(kind, shape=shape)
    assert leakage_measures(model, letters_loss, [Batch(WORDS, targets)]) == {"own_seen": seen}


def test_labels_that_the_loss_shifts_and_padding_that_it_ignores():
    model, padded = Letters("causal"), WORDS.clone()
    padded[::2, -6:] = 0

    def ignoring(outputs, targets):
        return cross_entropy(outputs.transpose(1, 2), targets, ignore_index=0)

    assert leakage_measures(model, shifting_loss, [Batch(WORDS, WORDS)]) == {"own_seen": 0.0}
    assert leakage_measures(model, ignoring, [Batch(padded, padded)]) == {"own_seen": 1.0}


WAVES = torch.sin(torch.arange(24.0) * 0.4 + 6 * torch.rand(16, 1, generator=DRAW))[..., None]


class Follower(nn.Module):
    """Numbers at each position, from those up to there, from all, or from the position's own alone."""

    def __init__(self, kind, features=1):
        super().__init__()
        self.rnn = nn.GRU(features, 4, batch_first=True, bidirectional=kind == "all") if kind != "own" else None
        self.out = nn.Linear(features if kind == "own" else 8 if kind == "all" else 4, features)

    def forward(self, x):
        return self.out(x if self.rnn is None else self.rnn(x)[0])


@pytest.mark.parametrize(("kind", "found"), [("before", {"own_seen": 1.0}), ("all", {"own_seen": 0.0}), ("own", {})])
def test_a_forecast_whose_targets_are_not_shifted(kind, found):
    """A network that reads everything, or each position by itself, may be an autoencoder."""
    torch.manual_seed(0)
    assert leakage_measures(Follower(kind), mse_loss, [Batch(WAVES, WAVES.clone())]) == found
    noise = torch.randn(16, 24, 1, generator=DRAW)  # of which nobody can tell the next
    assert leakage_measures(Follower("before"), mse_loss, [Batch(noise, noise.clone())]) == {}


def test_a_decoder_whose_targets_are_its_inputs():
    batch = Batch((TOKENS.flip(1), TOKENS), TOKENS)  # what the source tells, though letters are drawn
    assert leakage_measures(Pair("recurrent"), letters_loss, [batch]) == {"own_seen": 1.0}


def test_an_echo_of_what_nobody_can_foretell():
    batch = Batch(TOKENS, TOKENS)
    assert leakage_measures(Letters("recurrent"), letters_loss, [batch]) == {"own_seen": 0.0}
    assert leakage_measures(Letters("recurrent"), letters_loss, [batch, batch], batch) == {"own_seen": 0.0}
    padded = torch.where(torch.arange(16) < torch.arange(8, 14)[:, None], TOKENS, 0)
    assert leakage_measures(Letters("recurrent"), letters_loss, [Batch(padded, padded)]) == {"own_seen": 0.0}
    kept = Batch(WORDS, WORDS)  # letters that the training took before
    assert leakage_measures(Letters("recurrent"), letters_loss, [batch], kept) == {"own_seen": 1.0}


@pytest.mark.parametrize(
    ("measure", "fix"),
    [
        ("targets_in_column", "drop_column"),
        ("targets_at_end", "end_before"),
        ("next_seen", "causal_mask"),
        ("own_seen", "shift_labels"),
    ],
)
def test_the_verdict_holds_though_the_loss_falls(measure, fix):
    numbers = {"steps": 200.0, measure: 1.0, "loss_constant": 2.3, "loss_last": 0.1, "falling": 0.3, "left": 0.05}
    assert judge(numbers).code == "target_leakage"
    assert [one.code for one in fixes_of("target_leakage", numbers)] == [fix]
    assert judge(numbers | {measure: 0.0}).code == "healthy"


def test_a_few_samples_that_come_again_show_no_leak():
    rows = torch.randint(5, (64,), generator=torch.Generator().manual_seed(0))
    labels_N = torch.arange(64) % 2
    assert of_table(TABLE[rows], labels_N[rows]) is None
    told_NF = with_column(labels_N.float())
    assert of_table(torch.cat([told_NF, told_NF]), labels_N.repeat(2)) == 1.0


class LastOfAll(nn.Module):
    """A recurrent layer that gives numbers after the last position."""

    def __init__(self, features, numbers):
        super().__init__()
        self.layer, self.head = nn.GRU(features, 8, batch_first=True), nn.Linear(8, numbers)

    def forward(self, x):
        return self.head(self.layer(x)[0][:, -1])


SERIES = torch.randn(240, 3, generator=torch.Generator().manual_seed(4)).cumsum(dim=0)
WINDOWS = SERIES.unfold(0, 12, 1).movedim(2, 1)  # (N, T, F)
ROUNDED = (WINDOWS[:, -1, :1] * 0.1).round()


@pytest.mark.parametrize(
    ("inputs", "targets", "held"),
    [
        (WINDOWS, WINDOWS[:, -1, 1:2], 1.0),
        (WINDOWS, WINDOWS[:, -1, 1], 1.0),
        (WINDOWS, WINDOWS[:, -1, [2, 0]], 1.0),
        (WINDOWS[:, :-1], WINDOWS[:, -1, 1:2], 0.0),  # as it should be
        (WINDOWS, WINDOWS[:, 0, 1:2], 0.0),  # a task for a memory
        (WINDOWS, WINDOWS[:, -1, :2] + 1e-3, 0.0),
        (
            WINDOWS,
            torch.cat([WINDOWS[:, -1, :1], SERIES[-1:, :1].expand(len(WINDOWS), 1).clone().normal_()], dim=1),
            0.0,
        ),
        (WINDOWS, WINDOWS.flatten(1), None),  # an autoencoder
        (WINDOWS, ROUNDED, None),  # a few numbers
        (WINDOWS[:20], WINDOWS[:20, -1, 1:2], None),
    ],
    ids=["one", "flat", "two", "before", "first", "noisy", "half", "all", "few", "short"],
)
def test_a_window_that_ends_with_what_it_is_to_predict_is_found(inputs, targets, held):
    model = LastOfAll(3, targets[:1].numel())
    halves = [Batch(inputs[at], targets[at]) for at in (slice(None, None, 2), slice(1, None, 2))]
    assert leakage_measures(model, mse_loss, halves).get("targets_at_end") == held
