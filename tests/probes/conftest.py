"""Probes of a test end with it."""

import pytest

from thalweg.probes import StepProbe


@pytest.fixture(autouse=True)
def no_probe_outlives_its_test(monkeypatch):
    """Some hooks are those of all modules: torch warns of them wherever a later test compiles one."""
    attached = []

    def attach(probe, original=StepProbe.attach):
        attached.append(probe)
        original(probe)

    monkeypatch.setattr(StepProbe, "attach", attach)
    yield
    for probe in attached:
        probe.detach()
