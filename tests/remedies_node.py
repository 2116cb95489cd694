"""Remedies for the DICOM node; see ``remedies.py``."""

import socket
import sqlite3
import threading
from pathlib import Path

from bayescope.node.config import NodeConfig
from bayescope.node.database import Database
from bayescope.node.intake import Intake
from bayescope.node.journal import SITE_KEY, Pseudonyms
from bayescope.node.maintenance import DATABASE, node_status
from bayescope.node.queue import Queue
from bayescope.node.schema import VERSION
from bayescope.node.service import run_node
from bayescope.node.storage import OBJECTS, Storage
from nodes import RUN, FakeReader, certificate, image_file, instance, node_config, write_toml
from remedies import Place, remedy


def toml(p: Place, config: NodeConfig) -> Path:
    return write_toml(config, p.folder / "node.toml")


def runs(p: Place, config: NodeConfig, during: object = None) -> None:
    """The node starts, does what is asked ``during`` its life, and ends."""
    p.patch.setattr("bayescope.node.service.load_reader", lambda run, reading, combine: FakeReader())
    stop = threading.Event()
    stop.set()
    run_node(config, RUN, stop, lambda: during() if callable(during) else None)


@remedy("node.maintenance:open_database", "Start it once")
def no_queue_yet(p: Place) -> None:
    config = node_config(p.folder / "node")
    p.refused("node", "status", "--config", toml(p, config))
    runs(p, config)
    p.works("node", "status", "--config", toml(p, config))


@remedy("node.service:_alone", "Stop it, or give another folder")
def two_nodes(p: Place) -> None:
    config, other = node_config(p.folder / "node"), node_config(p.folder / "other")

    def second() -> None:
        p.raises(lambda: runs(p, node_config(p.folder / "node")))
        runs(p, other)

    runs(p, config, during=second)
    runs(p, node_config(p.folder / "node"))


@remedy("node.database:__init__", "Restore it from a copy, or give another folder")
@remedy("node.database:__init__", "Give another folder, or let the version")
def queue_of_another_kind(p: Place) -> None:
    config = node_config(p.folder / "node")
    runs(p, config)
    path = config.folder / DATABASE
    whole = path.read_bytes()
    path.write_bytes(b"x" * 4096)
    p.refused("node", "status", "--config", toml(p, config))
    path.write_bytes(whole)
    p.works("node", "status", "--config", toml(p, config))
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    p.refused("node", "status", "--config", toml(p, config))
    elsewhere = node_config(p.folder / "other")
    runs(p, elsewhere)
    p.works("node", "status", "--config", toml(p, elsewhere))


@remedy("node.database:transaction", "What was written before is intact")
def queue_full(p: Place) -> None:
    database = Database(p.folder / "q")
    queue = Queue(database)
    queue.add(instance("1.1"))
    database.rows(f"PRAGMA max_page_count = {database.rows('PRAGMA page_count')[0][0]}")
    p.raises(lambda: [queue.add(instance(f"1.{i}" + "9" * 50)) for i in range(2, 99)])
    assert queue.find("1.1") == instance("1.1")
    database.rows("PRAGMA max_page_count = 100000")
    assert queue.add(instance("1.99"))


@remedy("node.storage:part", "Free some space: `bayescope node purge`")
def disk_nearly_full(p: Place) -> None:
    p.raises(lambda: Storage(p.folder, keep_free_bytes=2**60).write(OBJECTS, "a.dcm", b"abc"))
    Storage(p.folder).write(OBJECTS, "a.dcm", b"abc")


@remedy("node.journal:of_folder", "Restore it from a copy")
def key_damaged(p: Place) -> None:
    before = Pseudonyms.of_folder(p.folder)("1.2")
    key = (p.folder / SITE_KEY).read_bytes()
    (p.folder / SITE_KEY).write_bytes(key[:5])
    p.raises(lambda: Pseudonyms.of_folder(p.folder))
    (p.folder / SITE_KEY).write_bytes(key)
    assert Pseudonyms.of_folder(p.folder)("1.2") == before


@remedy("node.intake:accept", "expected each. Export it again")
def uids_missing(p: Place) -> None:
    intake = Intake(Storage(p.folder), Queue(Database(p.folder / "q")), Pseudonyms.of_folder(p.folder))
    without, whole = image_file(p.folder / "a.dcm", StudyInstanceUID=""), image_file(p.folder / "b.dcm")
    p.raises(lambda: intake.accept(without.read_bytes(), "TESTER"))
    assert intake.accept(whole.read_bytes(), "TESTER")[1]


@remedy("node.network:_load", "expected PEM files. Correct them")
def no_certificate(p: Place) -> None:
    own, key = certificate(p.folder, "node")
    p.raises(lambda: runs(p, node_config(p.folder / "node", listen={"tls": {"certificate": "none.pem", "key": str(key)}})))
    runs(p, node_config(p.folder / "node", listen={"tls": {"certificate": str(own), "key": str(key)}}))


@remedy("node.network:listening", "Give others, or end the program that uses them")
def port_taken(p: Place) -> None:
    config, other = node_config(p.folder / "node"), node_config(p.folder / "other")
    assert config.listen
    with socket.create_server(("127.0.0.1", config.listen.port)):
        p.raises(lambda: runs(p, config))
        runs(p, other)
    runs(p, config)


@remedy("node.requirements:check_installed", "`pip install 'bayescope[dicom]'`")
def packages_missing(p: Place) -> None:
    """Installing is not tried; that the packages are there is."""
    config = node_config(p.folder / "node")
    runs(p, config)
    with p.patch.context() as patch:
        patch.setattr("bayescope.node.requirements.PACKAGES", ("pynetdicom", "not_there"))
        p.refused("node", "status", "--config", toml(p, config))
    p.works("node", "status", "--config", toml(p, config))
    assert node_status(config)["instances"] == {}


@remedy("inference.drift:from_dict", "Give the node another folder")
def drift_damaged(p: Place) -> None:
    config = node_config(p.folder / "node")
    runs(p, config)
    database = Database(config.folder / "queue.sqlite")
    with database.transaction() as connection:
        connection.execute("INSERT INTO drift VALUES (?, '{}', '{}')", (FakeReader().model,))
    database.close()
    p.raises(lambda: runs(p, config))
    runs(p, node_config(p.folder / "other"))
