"""Frames have a lane of their own: a diagnosis that takes its time does not hold them up."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from thalweg.playground import Loop, Session, Settings
from thalweg.playground.session import diagnosing


SMALL = Settings(points="blobs", widths=(3,), count=40, batch=16)


def test_a_frame_answers_while_a_diagnosis_is_running_and_has_its_sharpness_afterwards():
    session = Session(Loop(SMALL))
    with ThreadPoolExecutor(1) as frames:
        with diagnosing():
            _, during = frames.submit(session.frames, 0, 2, 20).result(timeout=60)
        _, after = frames.submit(session.frames, 0, 2, 20).result(timeout=60)
    _, alone = Session(Loop(SMALL)).frames(0, 2, 20)
    assert np.isnan(during["sharpness"]).all()
    for name, values in alone.items():
        assert np.array_equal(after[name], values, equal_nan=True), name
        if name not in {"sharpness", "threshold"}:
            assert np.array_equal(during[name], values, equal_nan=True), name


def test_two_networks_side_by_side_both_have_their_sharpness():
    sessions = [Session(Loop(SMALL)), Session(Loop(SMALL))]
    with ThreadPoolExecutor(2) as both:
        found = list(both.map(lambda session: session.frames(0, 3, 20)[1]["sharpness"], sessions))
    assert np.isfinite(found).all()
    assert np.array_equal(*found)
