-- get_setting: one setting of the data directory
SELECT value FROM settings WHERE key = :key

-- put_setting: set it
INSERT INTO settings (key, value) VALUES (:key, :value) ON CONFLICT (key) DO UPDATE SET value = excluded.value

-- get_project_defaults: what a project lays over the cluster's defaults of specs
SELECT json, created FROM project_defaults WHERE project = :project

-- put_project_defaults: set it
INSERT INTO project_defaults (project, json, created) VALUES (:project, :json, :created)
ON CONFLICT (project) DO UPDATE SET json = excluded.json, created = excluded.created
