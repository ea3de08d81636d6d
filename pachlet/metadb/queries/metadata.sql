-- set_project_metadata: what users hang on a project
UPDATE projects SET metadata = :metadata WHERE name = :key

-- set_repo_metadata: what users hang on a repo
UPDATE repos SET metadata = :metadata WHERE key = :key

-- set_branch_metadata: what users hang on a branch
UPDATE branches SET metadata = :metadata WHERE key = :key

-- set_commit_metadata: what users hang on a commit
UPDATE commits SET metadata = :metadata WHERE key = :key

-- set_pipeline_metadata: what users hang on a pipeline
UPDATE pipelines SET metadata = :metadata WHERE key = :key
