"""Sort a folder of photos into one folder for each class: `python sort_photos.py RUN PHOTOS OUT`.

Without arguments, it trains on built-in photos for ten seconds and sorts the same photos.
"""

import sys
from collections import Counter
from pathlib import Path
from tempfile import mkdtemp

import thalweg
from thalweg.data import open_photos
from thalweg.prediction import sort_photos


if len(sys.argv) > 1:
    run, photos, out = sys.argv[1:]
else:
    photos, out = "builtin", mkdtemp()
    run = thalweg.train(photos, recipe="quick", budget=10, out=Path(mkdtemp()) / "run")

images = open_photos(photos)
predictions = thalweg.predict(run, images)
sort_photos(predictions, images, out)
for name, count in Counter(predictions.names).most_common():
    print(f"{count:6,} {name}")
