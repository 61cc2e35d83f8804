"""The progress of a diagnosis: its stages come in the order that the estimate of the time expects."""

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from thalweg.diagnosis.inputs import STAGES, in_stages
from thalweg.diagnosis.measures.collect import ask
from thalweg.diagnosis.verdict import unchecked_text
from thalweg.i18n import LANGUAGES, set_language, t
from thalweg.probes.batches import Batch
from thalweg.training.progress import Listener


class Notebook(Listener):
    """Writes down what it hears."""

    def __init__(self):
        self.heard = []

    def working(self, stage, done, total):
        self.heard.append((stage, done / total))


def test_no_stage_comes_twice_and_none_takes_back_what_is_done():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Dropout(0.5), nn.Linear(12, 3))
    batches = [Batch(torch.randn(24, 6), torch.arange(24) % 3) for _ in range(2)]
    notebook = Notebook()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    progress = in_stages(notebook, try_fix=False)
    known = {"steps": 50.0, "loss_first": 1.2, "loss_last": 1.1, "lr_last": 0.1}
    ask(model, optimizer, cross_entropy, batches, known, seconds=2.0, progress=progress)
    stages = list(dict.fromkeys(stage for stage, _ in notebook.heard))
    assert stages == [stage for stage in STAGES if stage != "trial"]
    shares = [share for _, share in notebook.heard]
    assert shares == sorted(shares)
    for language in LANGUAGES:
        set_language(language)
        assert all(t(f"training.stage_{stage}") for stage in STAGES)
        assert all(unchecked_text(stage) for stage in STAGES if stage != "trial")
