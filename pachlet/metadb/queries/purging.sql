-- has_purged_chunks: whether any chunk was ever purged ('0' comes after '/')
SELECT EXISTS (SELECT 1 FROM settings WHERE key >= 'purged/' AND key < 'purged0')

-- purge_of_chunk: which purge took a chunk
SELECT value FROM settings WHERE key = :key

-- purged_chunks: all of them, with the purge that took each
SELECT substr(key, 8) AS hash, value FROM settings WHERE key >= 'purged/' AND key < 'purged0'

-- all_purges: what is noted of each purge
SELECT value FROM settings WHERE key >= 'purge/' AND key < 'purge0'

-- bury_chunk: a purge takes it; the newest counts
INSERT INTO settings (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value

-- fileset_trees: what file sets hold, with their ids
SELECT id, root FROM filesets WHERE root IS NOT NULL

-- fileset_diffs: and what lies over that
SELECT f.id, s.diff FROM staged s JOIN filesets f ON f.key = s.fileset ORDER BY s.key

-- unread_logs: lines of logs after a key, with whose they are
SELECT l.key, l.job, l.message, p.project, p.name FROM logs l LEFT JOIN pipelines p ON p.key = l.pipeline
WHERE l.key > :after ORDER BY l.key LIMIT :number

-- job_reasons: why jobs ended as they did
SELECT j.key, j.id, j.reason, p.project, p.name FROM jobs j JOIN pipelines p ON p.key = j.pipeline
WHERE j.reason <> ''

-- rewrite_log: a line quotes what is purged
UPDATE logs SET message = ? WHERE key = ?

-- rewrite_reason: so does a job
UPDATE jobs SET reason = ? WHERE key = ?

-- count_running_jobs: how many have begun and are not over
SELECT count(*) FROM jobs WHERE state IN ('starting', 'running', 'egressing', 'finishing')
