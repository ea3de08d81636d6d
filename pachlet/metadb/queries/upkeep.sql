-- trees_of_repos: the finished commits' trees with whose they are, in the order of repos
SELECT c.repo, c.root, c.size FROM commits c WHERE c.finished IS NOT NULL ORDER BY c.repo, c.key

-- diffs_of_repos: what was written to commits that are not settled, with whose they are
SELECT c.repo, s.key FROM staged s JOIN commits c ON c.key = s.commit_key ORDER BY c.repo, s.key

-- head_sizes: what the heads of each repo's branches show
SELECT b.repo, sum(c.size) AS size FROM branches b JOIN commits c ON c.key = b.head GROUP BY b.repo

-- all_repos: every repo of any type, in the order of names
SELECT key, project, name, type FROM repos ORDER BY project, name, type

-- ends_of_packs: up to where the index knows chunks in each pack
SELECT pack, max(offset + stored) AS end FROM chunks GROUP BY pack ORDER BY pack

-- chunks_of_pack: what the index says lies in one pack, in order; it reads all of the index
SELECT hash, pack, offset, stored, length FROM chunks WHERE pack = :pack ORDER BY offset

-- finished_trees: the tree of every finished commit, with its name
SELECT c.id, c.root, r.project, r.name, r.type FROM commits c JOIN repos r ON r.key = c.repo
WHERE c.root IS NOT NULL ORDER BY c.key

-- staged_diffs: what was written to commits that are not settled, with the commit's name
SELECT c.id, s.diff, r.project, r.name, r.type FROM staged s JOIN commits c ON c.key = s.commit_key
JOIN repos r ON r.key = c.repo ORDER BY s.key

-- heads_elsewhere: branches whose head is a commit of another repo
SELECT r.project, r.name, b.name AS branch FROM branches b JOIN repos r ON r.key = b.repo
JOIN commits c ON c.key = b.head WHERE c.repo <> b.repo

-- parents_elsewhere: commits whose parent is a commit of another repo
SELECT r.project, r.name, c.id FROM commits c JOIN repos r ON r.key = c.repo JOIN commits p ON p.key = c.parent
WHERE p.repo <> c.repo

-- chunks_between: where chunks lie whose hashes are from :first up to but without :end (NULL: to the last)
SELECT hash, pack, offset, stored, length FROM chunks
WHERE hash >= :first AND (:end IS NULL OR hash < :end) ORDER BY hash LIMIT :number

-- output_commits: finished commits of pipelines, with the tree of their meta commit
SELECT c.id, c.root, m.root AS meta_root, r.project, r.name, r.type FROM commits c
JOIN repos r ON r.key = c.repo AND r.type = 'user'
JOIN repos s ON s.project = r.project AND s.name = r.name AND s.type = 'meta'
JOIN commits m ON m.repo = s.key AND m.id = c.id
WHERE c.root IS NOT NULL AND (:project = '' OR r.project = :project) AND (:repo = '' OR r.name = :repo)
    AND (:id = '' OR c.id = :id) ORDER BY c.key
