-- commits_below_set: everything downstream of the commits with one id, the set itself included
WITH RECURSIVE below (key) AS (
    SELECT key FROM commits WHERE id = :id
    UNION SELECT p.commit_key FROM commit_provenance p JOIN below ON p.upstream = below.key)
SELECT DISTINCT c.id FROM commits c JOIN below ON below.key = c.key ORDER BY c.id

-- commits_below: everything downstream of a commit, in the order made
WITH RECURSIVE below (key) AS (
    SELECT commit_key FROM commit_provenance WHERE upstream = :commit
    UNION SELECT p.commit_key FROM commit_provenance p JOIN below ON p.upstream = below.key)
SELECT c.*, r.project, r.name AS repo_name, r.type FROM commits c JOIN below ON below.key = c.key
JOIN repos r ON r.key = c.repo ORDER BY c.key

-- reparent_children: a commit's children become its parent's
UPDATE commits SET parent = :parent WHERE parent = :commit

-- move_heads: branches that stand on a commit go to another, or to none yet
UPDATE branches SET head = :head, updated = :now WHERE head = :commit

-- delete_commit_edges: all edges from or to a commit
DELETE FROM commit_provenance WHERE commit_key = :commit OR upstream = :commit

-- delete_commit: its row alone
DELETE FROM commits WHERE key = :commit

-- clear_commit_provenance: all edges to what is upstream of a commit
DELETE FROM commit_provenance WHERE commit_key = :commit

-- forget_commit: its files are given up; the commit itself stays
UPDATE commits SET root = NULL, is_forgotten = 1 WHERE key = :commit

-- walk_commit_provenance: what is upstream of a commit within :depth steps, nearest first
WITH RECURSIVE above (key, depth) AS (
    SELECT upstream, 1 FROM commit_provenance WHERE commit_key = :key
    UNION SELECT p.upstream, depth + 1 FROM commit_provenance p JOIN above ON p.commit_key = above.key
    WHERE depth < :depth)
SELECT key, min(depth) AS depth FROM above GROUP BY key ORDER BY 2, 1 LIMIT :number

-- walk_commit_subvenance: what is downstream of a commit within :depth steps, nearest first
WITH RECURSIVE below (key, depth) AS (
    SELECT commit_key, 1 FROM commit_provenance WHERE upstream = :key
    UNION SELECT p.commit_key, depth + 1 FROM commit_provenance p JOIN below ON p.upstream = below.key
    WHERE depth < :depth)
SELECT key, min(depth) AS depth FROM below GROUP BY key ORDER BY 2, 1 LIMIT :number

-- walk_branch_provenance: what is upstream of a branch within :depth steps, nearest first
WITH RECURSIVE above (key, depth) AS (
    SELECT upstream, 1 FROM branch_provenance WHERE branch = :key
    UNION SELECT p.upstream, depth + 1 FROM branch_provenance p JOIN above ON p.branch = above.key
    WHERE depth < :depth)
SELECT key, min(depth) AS depth FROM above GROUP BY key ORDER BY 2, 1 LIMIT :number

-- walk_branch_subvenance: what is downstream of a branch within :depth steps, nearest first
WITH RECURSIVE below (key, depth) AS (
    SELECT branch, 1 FROM branch_provenance WHERE upstream = :key
    UNION SELECT p.branch, depth + 1 FROM branch_provenance p JOIN below ON p.upstream = below.key
    WHERE depth < :depth)
SELECT key, min(depth) AS depth FROM below GROUP BY key ORDER BY 2, 1 LIMIT :number
