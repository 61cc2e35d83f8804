"""The page, whose answers a widget's must equal."""

import pytest
from starlette.testclient import TestClient

from thalweg.server import build_app


ORIGIN = "http://127.0.0.1"


@pytest.fixture
def client(tmp_path):
    with TestClient(build_app(tmp_path), base_url=ORIGIN, headers={"origin": ORIGIN}) as found:
        yield found
