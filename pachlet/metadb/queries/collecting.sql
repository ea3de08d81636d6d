-- tree_roots: every file tree that something refers to; a file set that is made later has a tree of these or of new ones
SELECT root FROM commits WHERE root IS NOT NULL UNION SELECT root FROM filesets WHERE root IS NOT NULL

-- diff_roots: everything written to commits that are not settled, and to file sets
SELECT key FROM staged

-- get_diff: one of them
SELECT diff FROM staged WHERE key = :key

-- note_new_trees: from here on, remember the trees that commits are given
CREATE TEMP TABLE new_trees (root BLOB PRIMARY KEY)

-- note_tree_of_commit: of a commit that is settled
CREATE TEMP TRIGGER note_tree_of_commit AFTER UPDATE OF root ON commits WHEN new.root IS NOT NULL
BEGIN INSERT OR IGNORE INTO new_trees VALUES (new.root); END

-- note_tree_of_new_commit: of a commit that comes with its tree
CREATE TEMP TRIGGER note_tree_of_new_commit AFTER INSERT ON commits WHEN new.root IS NOT NULL
BEGIN INSERT OR IGNORE INTO new_trees VALUES (new.root); END

-- note_new_diffs: and what is written to open commits
CREATE TEMP TABLE new_diffs (key INTEGER PRIMARY KEY)

-- note_diff: of one call
CREATE TEMP TRIGGER note_diff AFTER INSERT ON staged
BEGIN INSERT OR IGNORE INTO new_diffs VALUES (new.key); END

-- noted_trees: those that came since
SELECT root FROM new_trees

-- noted_diffs: those that came since
SELECT key FROM new_diffs

-- forget_noted_trees: they are marked
DELETE FROM new_trees

-- forget_noted_diffs: they are marked
DELETE FROM new_diffs

-- stop_noting_trees: the collection is over
DROP TABLE IF EXISTS temp.new_trees

-- stop_noting_tree_of_commit: the collection is over
DROP TRIGGER IF EXISTS temp.note_tree_of_commit

-- stop_noting_tree_of_new_commit: the collection is over
DROP TRIGGER IF EXISTS temp.note_tree_of_new_commit

-- stop_noting_diffs: the collection is over
DROP TABLE IF EXISTS temp.new_diffs

-- stop_noting_diff: the collection is over
DROP TRIGGER IF EXISTS temp.note_diff

-- nodes_after: hashes and sizes of nodes, in order, a batch at a time
SELECT hash, length(data) AS size FROM nodes WHERE hash > :after ORDER BY hash LIMIT :number

-- chunks_after: where chunks lie, in order, a batch at a time
SELECT hash, pack, offset, stored, length FROM chunks WHERE hash > :after ORDER BY hash LIMIT :number

-- count_chunks: how many there are
SELECT count(*) FROM chunks

-- delete_node: nothing refers to it
DELETE FROM nodes WHERE hash = ?

-- delete_chunk: nothing refers to it
DELETE FROM chunks WHERE hash = ?

-- move_chunk: it lies in another pack now
UPDATE chunks SET pack = ?, offset = ? WHERE hash = ? AND pack = ? AND offset = ?
