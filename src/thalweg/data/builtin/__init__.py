"""The set that comes with the package: 8,000 pictures of Fashion-MNIST in the homework's layout.

6,000 for training, 1,000 for validation and 1,000 for testing, the same number of each of ten classes, 28 × 28 pixels
of gray. The pictures are Zalando's, under the MIT licence that lies beside the archive and in it. `make` is the
script that made the archive from the originals.
"""

from pathlib import Path


__all__ = ["ARCHIVE"]

ARCHIVE = Path(__file__).parent / "fashion-mnist-8000.zip"
