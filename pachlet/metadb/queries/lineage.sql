-- runs_of_datums: what became of some datums of a job (a JSON list of ids), each with the job that ran it
SELECT d.id, d.record AS key, r.made_by, r.record FROM datums d JOIN datum_records r ON r.key = d.record
WHERE d.job = :job AND d.id IN (SELECT value FROM json_each(:ids))

-- runs_that_read: datums of a job (with :own, only those that it ran itself) that read a path of a repo, or a folder
-- that it is in, or, if it is a folder, something in it
SELECT d.id, d.record AS key, r.made_by, r.record FROM datums d JOIN datum_records r ON r.key = d.record
WHERE d.job = :job AND (:own = '' OR r.made_by = :own) AND EXISTS (
    SELECT 1 FROM (SELECT json_extract(value, '$.project') AS project, json_extract(value, '$.repo') AS repo,
        json_extract(value, '$.type') AS type, json_extract(value, '$.path') AS path
        FROM json_each(r.record, '$.inputs'))
    WHERE project = :project AND repo = :repo AND type = :type AND (
        path = :path OR substr(path, -1) = '/' AND substr(:path, 1, length(path)) = path
        OR substr(:path, -1) = '/' AND substr(path, 1, length(:path)) = :path))
ORDER BY d.id LIMIT :number

-- jobs_downstream_of: those that read a commit, each with its output commit, newest first
SELECT j.* FROM commit_provenance p JOIN jobs j ON j.output = p.commit_key WHERE p.upstream = :commit ORDER BY j.key DESC

-- commits_that_set_off: the commit of a repo with an id, and those of users with that id
SELECT c.*, r.project, r.name AS repo_name, r.type FROM commits c JOIN repos r ON r.key = c.repo
WHERE c.id = :id AND (c.origin = 'user' OR r.project = :project AND r.name = :name AND r.type = 'user') ORDER BY c.key
