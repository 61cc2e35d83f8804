"""MLflow: one run of the experiment `thalweg`, found again by a tag.

A batch is not whole or nothing at every store. What a kill interrupted is known from the account (`step` to `until`);
for these rows, and only these, the store is asked which numbers it has.

Source: https://mlflow.org/docs/latest/python_api/mlflow.client.html.
"""

from __future__ import annotations

import os
import re
import time
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from thalweg.loggers.targets import SQLITE


if TYPE_CHECKING:
    from collections.abc import Sequence

    from thalweg.loggers.account import Account
    from thalweg.loggers.logger import Facts, Outcome
    from thalweg.loggers.rows import Row

_Client: Any = import_module("mlflow").MlflowClient
_entities: Any = import_module("mlflow.entities")
EXPERIMENT: Final = "thalweg"
_TAG: Final = "thalweg.log"
_MOST_METRICS, _MOST_PARAMS = 1000, 100  # of a batch, at every store
_LONGEST_VALUE: Final = 500  # signs of a parameter
_FORBIDDEN = re.compile(r"[^\w\-. :/]")
_STATES: Final = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}


def open_logger(place: str, account: Account, facts: Facts) -> MLflow:
    """Find the run, or create it."""
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # a folder was asked for
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # it is tried again later, anyway
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    client = _Client(tracking_uri=place)
    if not account.place:
        account.keep()  # first, so that after a kill the tag is known
        account.place = _found_or_created(client, place, account.id, facts)
        account.keep()
    return MLflow(client, account)


def _found_or_created(client: Any, place: str, number: str, facts: Facts) -> str:
    experiment = client.get_experiment_by_name(EXPERIMENT)
    home = experiment.experiment_id if experiment else client.create_experiment(EXPERIMENT, _artifacts(place))
    found = client.search_runs([home], f"tags.`{_TAG}` = '{number}'")
    run = found[0] if found else client.create_run(home, run_name=facts.name, tags={_TAG: number})
    params = [_entities.Param(name, str(value)[:_LONGEST_VALUE]) for name, value in facts.config.items()]
    for first in range(0, len(params), _MOST_PARAMS):
        client.log_batch(run.info.run_id, params=params[first : first + _MOST_PARAMS])
    return run.info.run_id


def _artifacts(place: str) -> str | None:
    """Where pictures go that belong to a database in a file: beside it, not into the current folder."""
    return (Path(place.removeprefix(SQLITE)).parent / "mlartifacts").as_uri() if place.startswith(SQLITE) else None


class MLflow:
    """A run of MLflow.

    Args:
        client: of the store.
        account: has the run's number, and what is uncertain.
    """

    def __init__(self, client: Any, account: Account) -> None:
        self._client, self._run = client, account.place
        self._step, self._until = account.step, account.until
        self._had: dict[str, float] = {}
        if self._client.get_run(self._run).info.status != "RUNNING":
            self._client.update_run(self._run, status="RUNNING")

    def position(self) -> int:
        """The last step that is certain."""
        return self._step

    def send(self, rows: Sequence[Row]) -> None:
        """Send the numbers of rows; of those that are uncertain, the ones that are not there."""
        now = int(1000 * time.time())
        metrics = [
            _entities.Metric(_FORBIDDEN.sub("_", name), value, now, row.step)
            for row in rows
            for name, value in row.values.items()
        ]
        if rows and rows[0].step <= self._until:
            metrics = [one for one in metrics if one.step > self._until or one.step > self._last(one.key)]
        for first in range(0, len(metrics), _MOST_METRICS):
            self._client.log_batch(self._run, metrics=metrics[first : first + _MOST_METRICS])

    def _last(self, name: str) -> float:
        """The last step of a metric that the store has; batches are sent in the order of steps."""
        if name not in self._had:
            steps = (metric.step for metric in self._client.get_metric_history(self._run, name))
            self._had[name] = max(steps, default=-1)
        return self._had[name]

    def attach(self, path: Path, step: int) -> None:  # noqa: ARG002 - an artifact has no step
        """Send a file as an artifact."""
        self._client.log_artifact(self._run, str(path))

    def finish(self, outcome: Outcome) -> None:
        """Send results as tags, and the state."""
        for name, value in outcome.results.items():
            self._client.set_tag(self._run, f"result.{name}", f"{value:.6g}")
        self._client.set_terminated(self._run, status=_STATES[outcome.state])

    def close(self) -> None:
        """Nothing is open."""
