-- The queue of a node of version 2: one image answered, one failed, one to be read, one skipped.
BEGIN TRANSACTION;
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
INSERT INTO "answers" VALUES(1,1,'a','answered',1,'',1000.0);
INSERT INTO "answers" VALUES(2,2,'a','failed',1,'ValueError',1000.0);
INSERT INTO "answers" VALUES(3,3,'a','queued',0,'',1000.0);
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
INSERT INTO "commitments" VALUES(1,'3.1','PACS','127.0.0.1','[["1.2.840", "1.0"]]',0,1000.0,1000.0);
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
INSERT INTO "deliveries" VALUES(1,1,'archive','sent',1,'',1000.0,1000.0,1000.0);
INSERT INTO "deliveries" VALUES(2,1,'other','waiting',0,'',1000.0,1000.0,1000.0);
INSERT INTO "deliveries" VALUES(3,2,'archive','waiting',0,'',1000.0,1000.0,1000.0);
INSERT INTO "deliveries" VALUES(4,2,'other','waiting',0,'',1000.0,1000.0,1000.0);
CREATE TABLE drift (
    model TEXT PRIMARY KEY,          -- fingerprint
    state TEXT NOT NULL,             -- JSON of DriftWatch.to_dict: numbers and pseudonyms
    summary TEXT NOT NULL            -- JSON of DriftWatch.summary
);
INSERT INTO "drift" VALUES('a','{}','{}');
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
INSERT INTO "instances" VALUES(1,'1.0','1.2.840','1.9','0.dcm','TESTER','routed','',1000.0,1000.0);
INSERT INTO "instances" VALUES(2,'1.1','1.2.840','1.9','1.dcm','TESTER','routed','',1000.0,1000.0);
INSERT INTO "instances" VALUES(3,'1.2','1.2.840','1.9','2.dcm','TESTER','routed','',1000.0,1000.0);
INSERT INTO "instances" VALUES(4,'1.8','1.2.840','1.9','','http://server','skipped','60 frames',1000.0,1000.0);
CREATE TABLE results (
    id INTEGER PRIMARY KEY,
    answer_id INTEGER NOT NULL REFERENCES answers ON DELETE CASCADE,
    sop_instance_uid TEXT NOT NULL UNIQUE,
    file TEXT NOT NULL               -- name in results/
);
INSERT INTO "results" VALUES(1,1,'2.0','r0.dcm');
INSERT INTO "results" VALUES(2,1,'2.1','r1.dcm');
CREATE TABLE studies (
    study_instance_uid TEXT PRIMARY KEY,
    instances INTEGER NOT NULL       -- as many as the server had when they were fetched
);
INSERT INTO "studies" VALUES('1.9',4);
CREATE INDEX instances_by_state ON instances (state);
CREATE INDEX answers_by_state ON answers (state);
CREATE INDEX answers_by_instance ON answers (instance_id);
CREATE INDEX results_by_answer ON results (answer_id);
CREATE INDEX deliveries_by_state ON deliveries (destination, state, due);
COMMIT;
PRAGMA user_version = 2;
