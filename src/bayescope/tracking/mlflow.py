"""MLflow: a run of the experiment ``bayescope``, in the store that MLflow is set to.  Needs the extra ``bayescope[mlflow]``.

The store is ``MLFLOW_TRACKING_URI``, by default ``mlflow.db`` in the current folder; the experiment ``MLFLOW_EXPERIMENT_NAME``.
The model is kept as the run folder, nothing is pickled; MLflow's usage reports are off.
"""

import math
import os
import time
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from bayescope.errors import ConfigError

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "bayescope"


class MlflowLogger:
    """Settings as parameters, losses and measures as metrics, report and run folder as artifacts.

    Parameters
    ----------
    run : Path
        Run folder; its name is that of the MLflow run.
    """

    def __init__(self, run: Path) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        try:
            import alembic  # noqa: F401
            import mlflow  # noqa: F401
            import sqlalchemy  # noqa: F401
        except ImportError as error:
            raise ConfigError(
                f"MLflow is not installed ({error}); expected the optional packages of --logger mlflow. Install them: "
                "`pip install 'bayescope[mlflow]'`, or leave the logger out"
            ) from None
        self._name = run.resolve().name

    @cached_property
    def client(self) -> "MlflowClient":
        """The connection to the store."""
        from mlflow import MlflowClient

        return MlflowClient()

    @cached_property
    def run_id(self) -> str:
        """The MLflow run, begun when first asked for."""
        experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
        found = self.client.get_experiment_by_name(experiment)
        number = self.client.create_experiment(experiment) if found is None else found.experiment_id
        return str(self.client.create_run(number, run_name=self._name).info.run_id)

    def parameters(self, values: Mapping[str, str]) -> None:
        """Parameters of the MLflow run."""
        from mlflow.entities import Param

        self.client.log_batch(self.run_id, params=[Param(key, value) for key, value in values.items()])

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Metrics; a value that is not finite is left out."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        finite = {name: value for name, value in values.items() if math.isfinite(value)}
        self.client.log_batch(self.run_id, metrics=[Metric(name, value, now, step) for name, value in finite.items()])

    def artifacts(self, report: Path, run: Path) -> None:
        """The report, and the run folder as ``run``."""
        self.client.log_artifact(self.run_id, str(report))
        self.client.log_artifacts(self.run_id, str(run), "run")

    def close(self, finished: bool) -> None:
        """Whether it was finished, or failed."""
        if "run_id" in vars(self):
            self.client.set_terminated(self.run_id, "FINISHED" if finished else "FAILED")
