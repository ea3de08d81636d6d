-- Jobs keep the numbers of their datums, and may be egressing.
ALTER TABLE jobs ADD COLUMN processed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN skipped INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN failed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN recovered INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN failed_datum TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN download_time INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN process_time INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN upload_time INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN download_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN upload_bytes INTEGER NOT NULL DEFAULT 0;
UPDATE jobs SET (processed, skipped, failed, recovered, failed_datum) = (
    SELECT ifnull(sum(d.state = 'success' AND d.made_by = jobs.id), 0),
        ifnull(sum(d.state = 'success' AND d.made_by <> jobs.id), 0),
        ifnull(sum(d.state = 'failed'), 0), ifnull(sum(d.state = 'recovered'), 0),
        ifnull(min(CASE d.state WHEN 'failed' THEN d.id END), '')
    FROM datums d WHERE d.job = jobs.key);
UPDATE jobs SET (download_time, process_time, upload_time, download_bytes, upload_bytes) = (
    SELECT CAST(ifnull(sum(json_extract(d.record, '$.stats.download_seconds')), 0) * 1000000000 AS INTEGER),
        CAST(ifnull(sum(json_extract(d.record, '$.stats.process_seconds')), 0) * 1000000000 AS INTEGER),
        CAST(ifnull(sum(json_extract(d.record, '$.stats.upload_seconds')), 0) * 1000000000 AS INTEGER),
        ifnull(sum(json_extract(d.record, '$.stats.download_bytes')), 0),
        ifnull(sum(json_extract(d.record, '$.stats.upload_bytes')), 0)
    FROM datums d WHERE d.job = jobs.key AND d.made_by = jobs.id);
DROP INDEX jobs_unfinished;
CREATE INDEX jobs_unfinished ON jobs (pipeline, key)
    WHERE state IN ('created', 'starting', 'running', 'egressing', 'finishing');

-- Secrets, and the defaults of specs that a project sets.
CREATE TABLE secrets (
    name TEXT PRIMARY KEY, type TEXT NOT NULL, labels TEXT NOT NULL, created INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE secret_values (
    secret TEXT NOT NULL REFERENCES secrets, key TEXT NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY (secret, key)) WITHOUT ROWID;
CREATE TABLE project_defaults (
    project TEXT PRIMARY KEY REFERENCES projects ON DELETE CASCADE, json TEXT NOT NULL,
    created INTEGER NOT NULL) WITHOUT ROWID;

-- Jobs are found by pipeline in the order made, and by either of their commits.
CREATE INDEX jobs_of_pipeline ON jobs (pipeline, key);
CREATE INDEX jobs_of_output ON jobs (output);
CREATE INDEX jobs_of_meta ON jobs (meta);

-- How far the schedules of cron inputs have been followed.
CREATE TABLE cron_inputs (
    pipeline INTEGER NOT NULL REFERENCES pipelines, name TEXT NOT NULL, last INTEGER, due INTEGER,
    PRIMARY KEY (pipeline, name)) WITHOUT ROWID;

-- What became of a datum is stored once, however many jobs keep it; and jobs remember what was planned.
ALTER TABLE jobs ADD COLUMN plan TEXT NOT NULL DEFAULT '';
ALTER TABLE datums RENAME TO old_datums;
CREATE TABLE datum_records (
    key INTEGER PRIMARY KEY AUTOINCREMENT, hash TEXT NOT NULL, code TEXT NOT NULL, state TEXT NOT NULL,
    made_by TEXT NOT NULL, record TEXT NOT NULL);
CREATE TABLE datums (
    job INTEGER NOT NULL REFERENCES jobs, id TEXT NOT NULL, record INTEGER NOT NULL REFERENCES datum_records,
    counts_as TEXT NOT NULL DEFAULT '', PRIMARY KEY (job, id)) WITHOUT ROWID;
CREATE TEMP TABLE ran (key INTEGER PRIMARY KEY, pipeline, made_by, id, hash, state, record, UNIQUE (pipeline, made_by, id));
INSERT OR IGNORE INTO ran (pipeline, made_by, id, hash, state, record)
    SELECT j.pipeline, d.made_by, d.id, d.hash, d.state, d.record FROM old_datums d JOIN jobs j ON j.key = d.job;
INSERT INTO datum_records (key, hash, code, state, made_by, record)
    SELECT key, hash, json_extract(record, '$.image.digest') || '+', state, made_by, record FROM ran;
INSERT INTO datums (job, id, record) SELECT d.job, d.id, ran.key FROM old_datums d JOIN jobs j ON j.key = d.job
    JOIN ran ON ran.pipeline = j.pipeline AND ran.made_by = d.made_by AND ran.id = d.id;
DROP TABLE ran;
DROP TABLE old_datums;
CREATE INDEX datums_of_record ON datums (record);
-- What kind a pipeline is of, and services: which jobs serve, and where.
ALTER TABLE pipelines ADD COLUMN kind TEXT NOT NULL DEFAULT 'transform';
CREATE INDEX spouts ON pipelines (key) WHERE kind = 'spout';
CREATE TABLE service_ports (
    pipeline INTEGER PRIMARY KEY REFERENCES pipelines ON DELETE CASCADE, port INTEGER NOT NULL);
ALTER TABLE jobs ADD COLUMN is_serving INTEGER NOT NULL DEFAULT 0;
