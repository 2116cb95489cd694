"""What a node has to send: results to each destination, tried again with ever longer waits, at last dead letters."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bayescope.node.config import DeliveryConfig
from bayescope.node.database import Database

_DAY = 86400.0


def wait_after(attempts: int, config: DeliveryConfig) -> float:
    """Seconds until the next attempt, doubled after each."""
    return min(config.longest_wait_s, config.first_wait_s * 2.0 ** min(attempts - 1, 60))


@dataclass(frozen=True)
class Delivery:
    """A result on its way to a destination: name of its file, and its UID and that of its study, for the logs."""

    id: int
    file: str
    sop_instance_uid: str
    study_instance_uid: str
    attempts: int
    begun: float


class Outbox:
    """The table ``deliveries`` of a database."""

    def __init__(self, database: Database, config: DeliveryConfig, clock: Callable[[], float] = time.time) -> None:
        self._database, self._config, self._clock = database, config, clock

    def due(self, destination: str) -> list[Delivery]:
        """Results to send to a destination now, of one study after the other."""
        rows = self._database.rows(
            "SELECT deliveries.id, results.file, results.sop_instance_uid,"
            " COALESCE(instances.study_instance_uid, combinations.study_instance_uid), deliveries.attempts, begun"
            " FROM deliveries JOIN results ON results.id = result_id"
            " LEFT JOIN answers ON answers.id = answer_id LEFT JOIN instances ON instances.id = instance_id"
            " LEFT JOIN combinations ON combinations.id = combination_id"
            " WHERE destination = ? AND deliveries.state = 'waiting' AND due <= ? ORDER BY due, deliveries.id LIMIT ?",
            (destination, self._clock(), self._config.batch),
        )
        return [Delivery(*row) for row in rows]

    def sent(self, deliveries: Iterable[Delivery]) -> None:
        """Record that a destination has them."""
        with self._database.transaction() as connection:
            connection.executemany(
                "UPDATE deliveries SET state = 'sent', attempts = attempts + 1, error = '', changed = ? WHERE id = ?",
                [(self._clock(), delivery.id) for delivery in deliveries],
            )

    def failed(self, delivery: Delivery, error: str) -> bool:
        """Record why it was not sent, and when to try again; whether it was given up, as a dead letter."""
        now, attempts = self._clock(), delivery.attempts + 1
        is_dead = now - delivery.begun >= self._config.give_up_days * _DAY
        due = now + wait_after(attempts, self._config)
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE deliveries SET state = ?, attempts = ?, error = ?, due = ?, changed = ? WHERE id = ?",
                ("dead" if is_dead else "waiting", attempts, error, due, now, delivery.id),
            )
        return is_dead
