"""A web service around a trained run, in FastAPI: POST a photo, get the classes with their probabilities.

Start it with `RUN=runs/food uvicorn classify_service:app`. As a script, it trains on built-in photos for ten seconds
and asks itself once.
"""

import os
from tempfile import mkdtemp

from fastapi import FastAPI, HTTPException, Request
from fastapi.testclient import TestClient

import thalweg
from thalweg.errors import BadImageError


classifier = thalweg.load(
    os.environ.get("RUN") or thalweg.train("builtin", recipe="quick", budget=10, out=f"{mkdtemp()}/run")
)
app = FastAPI()


@app.post("/classify")
async def classify(request: Request) -> dict[str, float]:
    """The five most probable classes of the photo in the body."""
    try:
        return dict(classifier.predict(await request.body()).best(0))
    except BadImageError as error:
        raise HTTPException(415, str(error)) from error


if __name__ == "__main__":
    photos = thalweg.open_images("builtin")
    client = TestClient(app)
    print(client.post("/classify", content=photos.read(photos.split("valid")[0])).json())
    print(client.post("/classify", content=b"no photo").json())
