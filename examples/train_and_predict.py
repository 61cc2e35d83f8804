"""Train on a folder of photos, look at the results, and predict: the same as on the command line, but from Python.

Pass your folder, or nothing to train on the built-in photos for ten seconds.
"""

import sys
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp

import thalweg
from thalweg.prediction import write_submission


photos = sys.argv[1] if len(sys.argv) > 1 else "builtin"
out = Path(mkdtemp()) / "run"

# A recipe is a configuration; every field can be changed, and is documented in TrainingConfig.
config = replace(thalweg.recipe("quick"), epochs=None, budget=10.0)
run = thalweg.train(photos, config, out)

steps = run.steps()  # the history: a column for each measure, a row for each step
print(f"{len(steps)} steps; the loss went from {steps['loss'][0]:.2f} to {steps['loss'][-1]:.2f}")
print(f"accuracy on validation: {run.summary()['valid']['accuracy']:.1%}")

write_submission(thalweg.predict(run.path, photos), out / "submission.csv")
print((out / "submission.csv").read_text().splitlines()[0])
