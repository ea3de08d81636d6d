-- list_pipeline_versions: each pipeline (NULL) or one, of some projects (a JSON list; NULL is all), newest first, with
-- :history older versions (-1 is all); of these :number (-1 is all), without the :first ones
SELECT p.*, v.version AS shown, v.spec_commit, v.user_spec, v.effective_spec, v.salt, v.created AS updated
FROM pipelines p JOIN pipeline_versions v ON v.pipeline = p.key
WHERE (:pipeline IS NULL OR p.key = :pipeline) AND v.version <= p.version
    AND (:projects IS NULL OR p.project IN (SELECT value FROM json_each(:projects)))
    AND (:history < 0 OR v.version >= p.version - :history)
ORDER BY p.key DESC, v.version DESC LIMIT :number OFFSET :first

-- get_pipeline: one by its name
SELECT * FROM pipelines WHERE project = :project AND name = :name

-- get_pipeline_by_key: one by its key
SELECT * FROM pipelines WHERE key = :key

-- add_pipeline: a new one, without a version yet
INSERT INTO pipelines (project, name, version, state, created) VALUES (:project, :name, 0, 'starting', :created)

-- set_pipeline_version: make a version the current one, and say what kind of pipeline it makes of it
UPDATE pipelines SET version = :version, kind = :kind WHERE key = :key

-- spouts_to_run: those that are not stopped, each with its version
SELECT key, version FROM pipelines WHERE kind = 'spout' AND NOT stopped

-- set_state_of_version: what a pipeline is doing, unless it has another version by now, or is stopped
UPDATE pipelines SET state = :state, reason = :reason
WHERE key = :key AND version = :version AND NOT stopped AND (state <> :state OR reason <> :reason)

-- set_pipeline_state: what it is doing, and why if that is not plain
UPDATE pipelines SET state = :state, reason = :reason
WHERE key = :key AND (state <> :state OR reason <> :reason)

-- stop_pipeline: whether it is stopped
UPDATE pipelines SET stopped = :stopped WHERE key = :key

-- delete_pipeline: its row alone
DELETE FROM pipelines WHERE key = :key

-- add_pipeline_version: the spec as given and with defaults, marked by a spec commit
INSERT INTO pipeline_versions (pipeline, version, spec_commit, user_spec, effective_spec, salt, created)
VALUES (:pipeline, :version, :spec_commit, :user_spec, :effective_spec, :salt, :created)

-- get_pipeline_version: a pipeline in one version (NULL is the current one)
SELECT p.*, v.version AS shown, v.spec_commit, v.user_spec, v.effective_spec, v.salt, v.created AS updated
FROM pipelines p JOIN pipeline_versions v ON v.pipeline = p.key AND v.version = ifnull(:version, p.version)
WHERE p.key = :key

-- get_pipeline_version_by_name: a pipeline in its current version
SELECT p.*, v.version AS shown, v.spec_commit, v.user_spec, v.effective_spec, v.salt, v.created AS updated
FROM pipelines p JOIN pipeline_versions v ON v.pipeline = p.key AND v.version = p.version
WHERE p.project = :project AND p.name = :name

-- pipeline_versions_between: those after :above up to :version, in order
SELECT * FROM pipeline_versions WHERE pipeline = :pipeline AND version > :above AND version <= :version ORDER BY version

-- delete_pipeline_versions: all of them
DELETE FROM pipeline_versions WHERE pipeline = :pipeline

-- add_job: a new one
INSERT INTO jobs (id, pipeline, version, state, output, meta, created)
VALUES (:id, :pipeline, :version, 'created', :output, :meta, :created)

-- get_job: one by pipeline and id
SELECT * FROM jobs WHERE pipeline = :pipeline AND id = :id

-- get_job_by_key: one by its key
SELECT * FROM jobs WHERE key = :key

-- job_of_commit: the one whose output or meta commit this is
SELECT * FROM jobs WHERE output = :commit OR meta = :commit

-- jobs_before: of all pipelines, with keys below :mark and made before :before, newest first
SELECT * FROM jobs WHERE key < :mark AND created < :before ORDER BY key DESC LIMIT :number

-- jobs_beyond: of all pipelines, with keys above :mark and made after :after, oldest first
SELECT * FROM jobs WHERE key > :mark AND created > :after ORDER BY key LIMIT :number

-- jobs_of_pipeline_before: the same of one pipeline
SELECT * FROM jobs WHERE pipeline = :pipeline AND key < :mark AND created < :before ORDER BY key DESC LIMIT :number

-- jobs_of_pipeline_beyond: the same of one pipeline
SELECT * FROM jobs WHERE pipeline = :pipeline AND key > :mark AND created > :after ORDER BY key LIMIT :number

-- newest_job: of a pipeline
SELECT * FROM jobs WHERE pipeline = :pipeline ORDER BY key DESC LIMIT 1

-- pipelines_that_run: those that are not stopped, with how many branches what they write is downstream of
SELECT p.key, p.version, p.state, (SELECT count(DISTINCT e.upstream) FROM repos r JOIN branches b ON b.repo = r.key
    JOIN branch_provenance e ON e.branch = b.key
    WHERE r.project = p.project AND r.name = p.name AND r.type = 'user') AS heard
FROM pipelines p WHERE p.stopped = 0

-- last_jobs: of pipelines (a JSON list of keys), the state of each one's newest job, and since when it has had work
SELECT p.key AS pipeline, j.state, j.reason, (SELECT min(started) FROM jobs WHERE pipeline = p.key
    AND state IN ('created', 'starting', 'running', 'egressing', 'finishing')) AS working_since
FROM pipelines p JOIN jobs j ON j.key = (SELECT max(key) FROM jobs WHERE pipeline = p.key)
WHERE p.key IN (SELECT value FROM json_each(:pipelines))

-- last_job_of_version: the state of a pipeline's newest job of a version or an older one
SELECT state FROM jobs WHERE pipeline = :pipeline AND version <= :version ORDER BY key DESC LIMIT 1

-- sets_directly_below: the ids of the commit sets that have a commit made from this one
SELECT DISTINCT c.id FROM commit_provenance p JOIN commits c ON c.key = p.commit_key WHERE p.upstream = :commit

-- jobs_after: of a pipeline, made after the one with key :above, oldest first
SELECT * FROM jobs WHERE pipeline = :pipeline AND key > :above ORDER BY key

-- jobs_of_set: all with one id, in the order made
SELECT * FROM jobs WHERE id = :id ORDER BY key

-- next_jobs: the oldest unfinished job of each pipeline, and those that serve, which hold up no other; must_wait if it
-- can't go on before a commit that it reads is finished, or has nothing left to do. However long the queues behind them
-- are, it costs one step in an index for each pipeline that has a job.
WITH RECURSIVE busy (pipeline) AS (
    SELECT min(pipeline) FROM jobs WHERE state IN ('created', 'starting', 'running', 'egressing', 'finishing')
    UNION ALL SELECT (SELECT min(pipeline) FROM jobs WHERE pipeline > busy.pipeline
        AND state IN ('created', 'starting', 'running', 'egressing', 'finishing'))
    FROM busy WHERE busy.pipeline IS NOT NULL),
next (key) AS (
    SELECT (SELECT key FROM jobs WHERE pipeline = busy.pipeline AND NOT is_serving
        AND state IN ('created', 'starting', 'running', 'egressing', 'finishing') ORDER BY key LIMIT 1) FROM busy
    UNION ALL SELECT j.key FROM pipelines p JOIN jobs j ON j.pipeline = p.key
    WHERE p.kind = 'service' AND j.is_serving AND j.state IN ('created', 'starting', 'running', 'egressing', 'finishing'))
SELECT j.key, j.state = 'finishing' OR EXISTS (SELECT 1 FROM commit_provenance p JOIN commits c ON c.key = p.upstream
    WHERE p.commit_key = j.output AND c.finished IS NULL) AS must_wait
FROM next n JOIN jobs j ON j.key = n.key ORDER BY j.key

-- unfinished_jobs: of one pipeline
SELECT * FROM jobs WHERE pipeline = :pipeline
    AND state IN ('created', 'starting', 'running', 'egressing', 'finishing') ORDER BY key

-- unfinished_job_before: the oldest of a pipeline that one has to wait for
SELECT id FROM jobs WHERE pipeline = :pipeline AND key < :key
    AND state IN ('created', 'starting', 'running', 'egressing', 'finishing') ORDER BY key LIMIT 1

-- set_job_state: where it stands
UPDATE jobs SET state = :state, reason = :reason, started = coalesce(started, :started),
    finished = coalesce(finished, :finished) WHERE key = :key

-- plan_job: its datums are known from here on, and so is its code
UPDATE jobs SET is_planned = 1, image = :image, total = :total, skipped = :skipped, plan = :plan WHERE key = :key

-- count_in_job: more datums of it that ran are settled; failed_datum is '' or one of those that failed
UPDATE jobs SET processed = processed + :processed, failed = failed + :failed, recovered = recovered + :recovered,
    failed_datum = CASE WHEN failed_datum = '' OR :failed_datum <> '' AND :failed_datum < failed_datum
        THEN :failed_datum ELSE failed_datum END,
    download_time = download_time + :download_time, process_time = process_time + :process_time,
    upload_time = upload_time + :upload_time, download_bytes = download_bytes + :download_bytes,
    upload_bytes = upload_bytes + :upload_bytes
WHERE key = :job

-- count_restart: the engine was stopped in the middle of it
UPDATE jobs SET restarts = restarts + 1 WHERE key = :key

-- delete_job: its row alone
DELETE FROM jobs WHERE key = :key

-- delete_jobs_of_pipeline: all of them
DELETE FROM jobs WHERE pipeline = :pipeline

-- add_datum_record: what became of a datum that ran
INSERT INTO datum_records (key, hash, code, state, made_by, record) VALUES (?, ?, ?, ?, ?, ?)

-- last_datum_record: the highest key that one ever had; NULL before the first
SELECT seq FROM sqlite_sequence WHERE name = 'datum_records'

-- add_datum: a settled datum
INSERT INTO datums (job, id, record) VALUES (?, ?, ?)

-- keep_datums: those of the base job but for the dropped ones, a JSON list of ids; :counts_as '' leaves that as it is
INSERT INTO datums (job, id, record, counts_as)
SELECT :job, id, record, CASE WHEN :counts_as = '' THEN counts_as ELSE :counts_as END FROM datums
WHERE job = :base AND id NOT IN (SELECT value FROM json_each(:dropped))

-- number_of_datums: how many of a job are settled
SELECT count(*) FROM datums WHERE job = :job

-- datums_to_compare: of a job, in order, without what they ran on
SELECT d.id, r.hash, r.state, r.code, d.counts_as FROM datums d JOIN datum_records r ON r.key = d.record
WHERE d.job = :job ORDER BY d.id

-- datums_beyond: of a job, with ids after a marker, by id
SELECT d.job, d.id, r.hash, r.state, r.made_by, r.record FROM datums d JOIN datum_records r ON r.key = d.record
WHERE d.job = :job AND d.id > :marker ORDER BY d.id LIMIT :number

-- datums_before: of a job, with ids before a marker, by id reversed
SELECT d.job, d.id, r.hash, r.state, r.made_by, r.record FROM datums d JOIN datum_records r ON r.key = d.record
WHERE d.job = :job AND d.id < :marker ORDER BY d.id DESC LIMIT :number

-- datums_of_states_beyond: as datums_beyond, of those that ended in one of some states (JSON); kept ones are 'skipped'
SELECT d.job, d.id, r.hash, r.state, r.made_by, r.record FROM datums d JOIN datum_records r ON r.key = d.record
WHERE d.job = :job AND d.id > :marker
    AND iif(r.state = 'success' AND r.made_by <> :job_id, 'skipped', r.state) IN (SELECT value FROM json_each(:states))
ORDER BY d.id LIMIT :number

-- datums_of_states_before: as datums_before, the same
SELECT d.job, d.id, r.hash, r.state, r.made_by, r.record FROM datums d JOIN datum_records r ON r.key = d.record
WHERE d.job = :job AND d.id < :marker
    AND iif(r.state = 'success' AND r.made_by <> :job_id, 'skipped', r.state) IN (SELECT value FROM json_each(:states))
ORDER BY d.id DESC LIMIT :number

-- get_datum: one
SELECT d.job, d.id, r.hash, r.state, r.made_by, r.record FROM datums d JOIN datum_records r ON r.key = d.record
WHERE d.job = :job AND d.id = :id

-- inputs_of_own_datums: what each datum read that a job ran itself, JSON
SELECT d.id, json_extract(r.record, '$.inputs') AS inputs FROM datums d JOIN datum_records r ON r.key = d.record
WHERE d.job = :job AND r.made_by = :id

-- datums_to_prove: of a job, by id, with all that is recorded of them
SELECT d.id, r.state, r.record FROM datums d JOIN datum_records r ON r.key = d.record WHERE d.job = :job ORDER BY d.id

-- work_of_job: how many datums it has, and the seconds that they took when they ran
SELECT count(*) AS datums, sum(json_extract(r.record, '$.stats.process_seconds')) AS seconds
FROM datums d JOIN datum_records r ON r.key = d.record WHERE d.job = :job

-- records_of_job: the keys of what became of the datums of a job
SELECT record FROM datums WHERE job = :job

-- records_of_pipeline: the keys of what became of the datums of all its jobs
SELECT DISTINCT record FROM datums WHERE job IN (SELECT key FROM jobs WHERE pipeline = :pipeline)

-- delete_datums_of_job: all of them
DELETE FROM datums WHERE job = :job

-- delete_datums_of_pipeline: all of them
DELETE FROM datums WHERE job IN (SELECT key FROM jobs WHERE pipeline = :pipeline)

-- delete_unused_record: what became of a datum, if no job has it any more
DELETE FROM datum_records WHERE key = ? AND key NOT IN (SELECT record FROM datums WHERE record = datum_records.key)

-- add_log: one line
INSERT INTO logs (time, pipeline, job, datum, worker, is_master, is_user, message) VALUES (?, ?, ?, ?, ?, ?, ?, ?)

-- read_logs: lines of a pipeline after a key; '' is any job or datum, NULL any kind
SELECT * FROM logs WHERE pipeline = :pipeline AND (:job = '' OR job = :job) AND (:datum = '' OR datum = :datum)
    AND (:is_master IS NULL OR is_master = :is_master) AND time >= :since AND key > :above
ORDER BY key LIMIT :number

-- tail_logs: the key before the last :number lines that match
SELECT min(key) - 1 FROM (SELECT key FROM logs WHERE pipeline = :pipeline AND (:job = '' OR job = :job)
    AND (:datum = '' OR datum = :datum) AND (:is_master IS NULL OR is_master = :is_master) AND time >= :since
    ORDER BY key DESC LIMIT :number)

-- delete_logs_of_pipeline: all of them
DELETE FROM logs WHERE pipeline = :pipeline

-- delete_logs_of_job: all of them
DELETE FROM logs WHERE pipeline = :pipeline AND job = :job

-- trim_logs: all that user code printed in a job ('' is none) but the last :kept lines
DELETE FROM logs WHERE pipeline = :pipeline AND job = :job AND is_user AND key <= (
    SELECT key FROM logs WHERE pipeline = :pipeline AND job = :job AND is_user
    ORDER BY key DESC LIMIT 1 OFFSET :kept)

-- serve_job: it answers
UPDATE jobs SET is_serving = 1 WHERE key = :key

-- newest_serving: the job of a service that serves, if any; two do so while the older one is left
SELECT max(key) FROM jobs WHERE pipeline = :pipeline AND is_serving AND state = 'running'

-- newer_ready_job: whether a newer job of a pipeline could begin, as all that it reads is finished and well
SELECT 1 FROM jobs j WHERE j.pipeline = :pipeline AND j.key > :key AND j.state = 'created' AND NOT EXISTS (
    SELECT 1 FROM commit_provenance p JOIN commits c ON c.key = p.upstream
    WHERE p.commit_key = j.output AND (c.finished IS NULL OR c.error <> '')) LIMIT 1

-- get_service_port: where a service was reached last
SELECT port FROM service_ports WHERE pipeline = :pipeline

-- put_service_port: where a service is reached
INSERT INTO service_ports (pipeline, port) VALUES (:pipeline, :port)
ON CONFLICT (pipeline) DO UPDATE SET port = :port
