-- cron_inputs: of a pipeline, with its version
SELECT c.*, p.version FROM cron_inputs c JOIN pipelines p ON p.key = c.pipeline
WHERE c.pipeline = :pipeline ORDER BY c.name

-- get_cron_input: one, with the version of its pipeline
SELECT c.*, p.version FROM cron_inputs c JOIN pipelines p ON p.key = c.pipeline
WHERE c.pipeline = :pipeline AND c.name = :name

-- due_cron_inputs: whose next tick is not later than :now, the longest due first; a stopped pipeline's wait
SELECT c.*, p.version FROM cron_inputs c JOIN pipelines p ON p.key = c.pipeline
WHERE p.stopped = 0 AND c.due <= :now AND (:pipeline IS NULL OR c.pipeline = :pipeline) ORDER BY c.due, c.pipeline, c.name

-- next_cron_tick: the time of the first that will be due
SELECT min(c.due) FROM cron_inputs c JOIN pipelines p ON p.key = c.pipeline WHERE p.stopped = 0

-- put_cron_input: set how far it is
INSERT INTO cron_inputs (pipeline, name, last, due) VALUES (:pipeline, :name, :last, :due)
ON CONFLICT (pipeline, name) DO UPDATE SET last = excluded.last, due = excluded.due

-- delete_cron_input: one
DELETE FROM cron_inputs WHERE pipeline = :pipeline AND name = :name

-- delete_cron_inputs: all of a pipeline
DELETE FROM cron_inputs WHERE pipeline = :pipeline
