"""Tables of the database of a node, as the steps from each version to the next.

A table that is replaced must not take the rows of others with it: the steps are made with foreign keys off.
"""

_QUEUE = """
CREATE TABLE instances (
    id INTEGER PRIMARY KEY,
    sop_instance_uid TEXT NOT NULL UNIQUE,
    sop_class_uid TEXT NOT NULL,
    study_instance_uid TEXT NOT NULL,
    file TEXT NOT NULL,              -- name in objects/, blank if none was kept
    source TEXT NOT NULL,            -- calling AE title, or address of the DICOMweb server
    state TEXT NOT NULL,             -- received, routed, skipped
    reason TEXT NOT NULL DEFAULT '',
    received REAL NOT NULL,
    changed REAL NOT NULL
);
CREATE TABLE answers (
    id INTEGER PRIMARY KEY,
    instance_id INTEGER NOT NULL REFERENCES instances ON DELETE CASCADE,
    model TEXT NOT NULL,             -- fingerprint
    state TEXT NOT NULL,             -- queued, working, answered, failed
    attempts INTEGER NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT '',
    changed REAL NOT NULL,
    UNIQUE (instance_id, model)
);
CREATE TABLE results (
    id INTEGER PRIMARY KEY,
    answer_id INTEGER NOT NULL REFERENCES answers ON DELETE CASCADE,
    sop_instance_uid TEXT NOT NULL UNIQUE,
    file TEXT NOT NULL               -- name in results/
);
CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY,
    result_id INTEGER NOT NULL REFERENCES results ON DELETE CASCADE,
    destination TEXT NOT NULL,
    state TEXT NOT NULL,             -- waiting, sent, dead
    attempts INTEGER NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT '',
    begun REAL NOT NULL,             -- since when it waits
    due REAL NOT NULL,               -- when to try next
    changed REAL NOT NULL,
    UNIQUE (result_id, destination)
);
CREATE TABLE commitments (
    id INTEGER PRIMARY KEY,
    transaction_uid TEXT NOT NULL,
    ae_title TEXT NOT NULL,
    address TEXT NOT NULL,
    items TEXT NOT NULL,             -- JSON: [SOP Class UID, SOP Instance UID] of each object
    attempts INTEGER NOT NULL DEFAULT 0,
    begun REAL NOT NULL,
    due REAL NOT NULL,
    UNIQUE (ae_title, transaction_uid)
);
CREATE TABLE studies (
    study_instance_uid TEXT PRIMARY KEY,
    instances INTEGER NOT NULL       -- as many as the server had when they were fetched
);
CREATE INDEX instances_by_state ON instances (state);
CREATE INDEX answers_by_state ON answers (state);
CREATE INDEX answers_by_instance ON answers (instance_id);
CREATE INDEX results_by_answer ON results (answer_id);
CREATE INDEX deliveries_by_state ON deliveries (destination, state, due);
"""
_DRIFT = """
CREATE TABLE drift (
    model TEXT PRIMARY KEY,          -- fingerprint
    state TEXT NOT NULL,             -- JSON of DriftWatch.to_dict: numbers and pseudonyms
    summary TEXT NOT NULL            -- JSON of DriftWatch.summary
);
"""
_COMBINATIONS = """
CREATE TABLE combinations (
    id INTEGER PRIMARY KEY,
    study_instance_uid TEXT NOT NULL,
    model TEXT NOT NULL,             -- fingerprint
    state TEXT NOT NULL,             -- waiting, working, combined, single, failed
    attempts INTEGER NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT '',
    changed REAL NOT NULL,
    UNIQUE (study_instance_uid, model)
);
CREATE TABLE results_of_both (
    id INTEGER PRIMARY KEY,
    answer_id INTEGER REFERENCES answers ON DELETE CASCADE,
    combination_id INTEGER REFERENCES combinations ON DELETE CASCADE,
    sop_instance_uid TEXT NOT NULL UNIQUE,
    file TEXT NOT NULL,              -- name in results/
    CHECK ((answer_id IS NULL) != (combination_id IS NULL))
);
INSERT INTO results_of_both SELECT id, answer_id, NULL, sop_instance_uid, file FROM results;
DROP TABLE results;
ALTER TABLE results_of_both RENAME TO results;
CREATE INDEX results_by_answer ON results (answer_id);
CREATE INDEX results_by_combination ON results (combination_id);
CREATE INDEX instances_by_study ON instances (study_instance_uid);
CREATE INDEX combinations_by_state ON combinations (model, state, attempts);
"""
STEPS = (_QUEUE, _DRIFT, _COMBINATIONS)
"""By version of a file, 0 being a new one: the statements that make the next version of it."""

VERSION = len(STEPS)
"""The version that this program reads and writes."""
