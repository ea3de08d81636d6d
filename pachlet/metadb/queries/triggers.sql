-- get_trigger: that of a branch
SELECT * FROM branch_triggers WHERE branch = :branch

-- put_trigger: set it, or replace it
INSERT INTO branch_triggers (branch, upstream, needs_all, rate_limit_spec, size, commits, cron_spec)
VALUES (:branch, :upstream, :needs_all, :rate_limit_spec, :size, :commits, :cron_spec)
ON CONFLICT (branch) DO UPDATE SET upstream = excluded.upstream, needs_all = excluded.needs_all,
    rate_limit_spec = excluded.rate_limit_spec, size = excluded.size, commits = excluded.commits,
    cron_spec = excluded.cron_spec

-- delete_trigger: that of a branch
DELETE FROM branch_triggers WHERE branch = :branch

-- delete_triggers_of_repo: all of them
DELETE FROM branch_triggers WHERE branch IN (SELECT key FROM branches WHERE repo = :repo)

-- repo_has_triggers: whether a commit in a repo may move another branch of it
SELECT count(*) FROM branch_triggers t JOIN branches b ON b.key = t.branch WHERE b.repo = :repo

-- cron_triggers: those that fire by the clock
SELECT * FROM branch_triggers WHERE cron_spec <> '' ORDER BY branch
