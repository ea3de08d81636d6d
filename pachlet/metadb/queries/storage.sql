-- find_chunk: where a chunk lies
SELECT pack, offset, stored, length FROM chunks WHERE hash = :hash

-- add_chunk: a chunk that is on disk
INSERT OR IGNORE INTO chunks (hash, pack, offset, stored, length) VALUES (?, ?, ?, ?, ?)

-- last_pack: the highest number of a pack in use
SELECT max(pack) FROM chunks

-- get_node: one node of a file tree
SELECT data FROM nodes WHERE hash = :hash

-- add_node: a node; the same bytes may come twice
INSERT OR IGNORE INTO nodes (hash, data) VALUES (?, ?)
