-- list_projects: all, in the order of creation
SELECT * FROM projects ORDER BY created

-- get_project: one by name
SELECT * FROM projects WHERE name = :name

-- add_project: a new one
INSERT INTO projects (name, description, created) VALUES (:name, :description, :created)

-- set_project_description: change what it is for
UPDATE projects SET description = :description WHERE name = :name

-- delete_project: a project without repos
DELETE FROM projects WHERE name = :name

-- list_repos: all of the given project and type ('' is any), in the order of creation
SELECT * FROM repos WHERE (:project = '' OR project = :project) AND (:type = '' OR type = :type) ORDER BY key

-- get_repo: one by its name
SELECT * FROM repos WHERE project = :project AND name = :name AND type = :type

-- get_repo_by_key: one by its key
SELECT * FROM repos WHERE key = :key

-- repos_of_name: a repo and its system repos
SELECT * FROM repos WHERE project = :project AND name = :name ORDER BY type <> 'user', type

-- add_repo: a new one
INSERT INTO repos (project, name, type, description, created)
VALUES (:project, :name, :type, :description, :created)

-- set_repo_description: change what it is for
UPDATE repos SET description = :description WHERE key = :key

-- delete_repo: an empty shell; its commits and branches went before
DELETE FROM repos WHERE key = :key

-- list_branches: of a repo, newest first
SELECT b.*, r.project, r.name AS repo_name, r.type FROM branches b JOIN repos r ON r.key = b.repo
WHERE b.repo = :repo ORDER BY b.key DESC

-- get_branch: one by its name
SELECT b.*, r.project, r.name AS repo_name, r.type FROM branches b JOIN repos r ON r.key = b.repo
WHERE b.repo = :repo AND b.name = :name

-- get_branch_by_key: one by its key
SELECT b.*, r.project, r.name AS repo_name, r.type FROM branches b JOIN repos r ON r.key = b.repo WHERE b.key = :key

-- add_branch: a new one
INSERT INTO branches (repo, name, head, created, updated) VALUES (:repo, :name, NULL, :now, :now)

-- set_head: move a branch
UPDATE branches SET head = :head, updated = :now WHERE key = :key

-- delete_branch: without its edges
DELETE FROM branches WHERE key = :key

-- delete_branches_of_repo: all of them
DELETE FROM branches WHERE repo = :repo

-- branches_headed_by: those whose head is the given commit
SELECT key FROM branches WHERE head = :commit

-- upstream_of_branch: direct provenance, in the order given
SELECT upstream, propagate FROM branch_provenance WHERE branch = :branch ORDER BY position

-- downstream_of_branch: direct subvenance
SELECT branch, propagate FROM branch_provenance WHERE upstream = :branch ORDER BY branch

-- add_branch_provenance: one edge
INSERT INTO branch_provenance (branch, upstream, position, propagate)
VALUES (:branch, :upstream, :position, :propagate)

-- clear_branch_provenance: all edges to what is upstream of a branch
DELETE FROM branch_provenance WHERE branch = :branch

-- clear_branch_subvenance: all edges to what is downstream of a branch
DELETE FROM branch_provenance WHERE upstream = :branch

-- provenance_of_branch: everything upstream of a branch, nearest first
WITH RECURSIVE above (key, depth) AS (
    SELECT upstream, 1 FROM branch_provenance WHERE branch = :branch
    UNION SELECT p.upstream, depth + 1 FROM branch_provenance p JOIN above ON p.branch = above.key)
SELECT key, min(depth) AS depth FROM above GROUP BY key ORDER BY depth, key

-- subvenance_of_branch: everything downstream of a branch, nearest first
WITH RECURSIVE below (key, depth) AS (
    SELECT branch, 1 FROM branch_provenance WHERE upstream = :branch
    UNION SELECT p.branch, depth + 1 FROM branch_provenance p JOIN below ON p.upstream = below.key)
SELECT key, max(depth) AS depth FROM below GROUP BY key ORDER BY depth, key

-- repo_twice_in_dag: a repo with two branches that provenance, followed both ways, joins with a branch, if there is one
WITH RECURSIVE joined (key) AS (
    SELECT :branch
    UNION SELECT p.upstream FROM branch_provenance p JOIN joined ON p.branch = joined.key
    UNION SELECT p.branch FROM branch_provenance p JOIN joined ON p.upstream = joined.key)
SELECT r.project, r.name, r.type FROM joined JOIN branches b ON b.key = joined.key JOIN repos r ON r.key = b.repo
GROUP BY r.key HAVING count(*) > 1 LIMIT 1

-- get_commit: one by repo and id
SELECT c.*, r.project, r.name AS repo_name, r.type FROM commits c JOIN repos r ON r.key = c.repo
WHERE c.repo = :repo AND c.id = :id

-- get_commit_by_key: one by its key
SELECT c.*, r.project, r.name AS repo_name, r.type FROM commits c JOIN repos r ON r.key = c.repo
WHERE c.key = :key

-- commits_of_set: all commits with one id, in the order made
SELECT c.*, r.project, r.name AS repo_name, r.type FROM commits c JOIN repos r ON r.key = c.repo
WHERE c.id = :id ORDER BY c.key

-- commit_provenance_of_set: everything upstream of the commits with one id, the set itself included
WITH RECURSIVE above (key) AS (
    SELECT key FROM commits WHERE id = :id
    UNION SELECT p.upstream FROM commit_provenance p JOIN above ON p.commit_key = above.key)
SELECT c.*, r.project, r.name AS repo_name, r.type FROM commits c JOIN above ON above.key = c.key
JOIN repos r ON r.key = c.repo ORDER BY c.key

-- newest_commits: of a repo (NULL is all), made before :before, at most :number
SELECT c.*, r.project, r.name AS repo_name, r.type FROM commits c JOIN repos r ON r.key = c.repo
WHERE (:repo IS NULL OR c.repo = :repo) AND (:origin = '' OR c.origin = :origin)
    AND (:before IS NULL OR c.started < :before)
ORDER BY c.key DESC LIMIT :number

-- oldest_commits: of a repo (NULL is all), made after :after, with a key above :above, at most :number
SELECT c.*, r.project, r.name AS repo_name, r.type FROM commits c JOIN repos r ON r.key = c.repo
WHERE (:repo IS NULL OR c.repo = :repo) AND (:origin = '' OR c.origin = :origin)
    AND (:after IS NULL OR c.started > :after) AND c.key > :above
ORDER BY c.key LIMIT :number

-- list_commit_sets: each id once, newest first; with a project, those with a commit in it
SELECT id, max(key) AS newest FROM commits c
WHERE :project = '' OR EXISTS (SELECT 1 FROM repos r WHERE r.key = c.repo AND r.project = :project)
GROUP BY id ORDER BY newest DESC

-- add_commit: a new open one
INSERT INTO commits (id, repo, branch, parent, origin, description, started, metadata)
VALUES (:id, :repo, :branch, :parent, :origin, :description, :started, :metadata)

-- start_finishing: no more writes from now on
UPDATE commits SET finishing = :now, error = :error, description = :description WHERE key = :key

-- finish_commit: its content is settled
UPDATE commits SET finished = :now, root = :root, size = :size, error = :error WHERE key = :key

-- spoil_commit: it is not to be built on
UPDATE commits SET error = :error WHERE key = :key

-- forget_branch_of_commits: the branch that commits were made on is gone
UPDATE commits SET branch = '' WHERE repo = :repo AND branch = :branch

-- unfinished_commits: those that were told to finish and have not
SELECT c.*, r.project, r.name AS repo_name, r.type FROM commits c JOIN repos r ON r.key = c.repo
WHERE c.finished IS NULL AND c.finishing IS NOT NULL ORDER BY c.key

-- children_of_commit: those that have it as parent
SELECT c.*, r.project, r.name AS repo_name, r.type FROM commits c JOIN repos r ON r.key = c.repo
WHERE c.parent = :commit ORDER BY c.key

-- upstream_of_commit: direct provenance
SELECT c.*, r.project, r.name AS repo_name, r.type FROM commit_provenance p
JOIN commits c ON c.key = p.upstream JOIN repos r ON r.key = c.repo WHERE p.commit_key = :commit ORDER BY c.key

-- downstream_of_commit: direct subvenance
SELECT c.*, r.project, r.name AS repo_name, r.type FROM commit_provenance p
JOIN commits c ON c.key = p.commit_key JOIN repos r ON r.key = c.repo WHERE p.upstream = :commit ORDER BY c.key

-- add_commit_provenance: one edge
INSERT OR IGNORE INTO commit_provenance (commit_key, upstream) VALUES (:commit, :upstream)

-- delete_commit_edges_of_repo: all edges from or to the commits of a repo
DELETE FROM commit_provenance WHERE commit_key IN (SELECT key FROM commits WHERE repo = :repo)
    OR upstream IN (SELECT key FROM commits WHERE repo = :repo)

-- delete_staged_of_repo: what was written to its open commits
DELETE FROM staged WHERE commit_key IN (SELECT key FROM commits WHERE repo = :repo)

-- delete_commits_of_repo: all of them
DELETE FROM commits WHERE repo = :repo

-- clear_heads_of_repo: so that the commits can be deleted
UPDATE branches SET head = NULL WHERE repo = :repo

-- add_staged: what one call wrote to an open commit
INSERT INTO staged (commit_key, diff) VALUES (:commit, :diff)

-- staged_of_commit: everything written to it, in order
SELECT diff FROM staged WHERE commit_key = :commit ORDER BY key

-- count_staged: how many calls wrote to it
SELECT count(*) FROM staged WHERE commit_key = :commit

-- last_staged: changes when something was written
SELECT max(key) FROM staged WHERE commit_key = :commit

-- delete_staged: it is in the commit's tree now, or given up
DELETE FROM staged WHERE commit_key = :commit
