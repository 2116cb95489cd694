"""The drift watch of each model of a node, kept in its database."""

import json
from collections.abc import Mapping
from typing import Any

from bayescope.inference.drift import DriftTest, DriftWatch, Observation
from bayescope.node.database import Database
from bayescope.node.journal import Journal


class DriftWatches:
    """One watch for each model; what they know outlives the node.

    ``tests``: by the fingerprints of the models.  Raises RunError if what the database holds is something else.
    """

    def __init__(self, database: Database, tests: Mapping[str, DriftTest], journal: Journal) -> None:
        self._database, self._journal = database, journal
        kept = {row["model"]: json.loads(row["state"]) for row in database.rows("SELECT model, state FROM drift")}
        self._watches = {
            model: DriftWatch.from_dict(test, kept[model]) if model in kept else test.watch() for model, test in tests.items()
        }

    def add(self, model: str, found: Observation) -> None:
        """Take an image into account that a model has read."""
        before = self._watches[model]
        after = before.with_image(found)
        if after is before:
            return
        self._watches[model] = after
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO drift (model, state, summary) VALUES (?, ?, ?)",
                (model, json.dumps(after.to_dict()), json.dumps(after.summary())),
            )
        if after.look is not before.look:
            alarm = after.look is not None and (after.look.novelty_alarm or after.look.ratio_alarm)
            self._journal.event("drift looked for", "warning" if alarm else "info", model=model, **after.summary())


def drift_summaries(database: Database) -> dict[str, dict[str, Any]]:
    """What is known of drift, by model: :meth:`bayescope.inference.drift.DriftWatch.summary`."""
    return {
        row["model"]: json.loads(row["summary"]) for row in database.rows("SELECT model, summary FROM drift ORDER BY model")
    }
