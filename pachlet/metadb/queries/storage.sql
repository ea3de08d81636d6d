-- find_chunk: where a chunk lies
SELECT pack, offset, stored, length FROM chunks WHERE hash = :hash

-- find_chunks: where chunks lie whose hashes, 32 bytes each, come one behind the other
WITH RECURSIVE wanted (at) AS (
  SELECT 1 UNION ALL SELECT at + 32 FROM wanted WHERE at + 32 < length(:hashes)
)
SELECT hash, pack, offset, stored, length FROM wanted JOIN chunks ON hash = substr(:hashes, at, 32)

-- add_chunk: a chunk that is on disk; a row that is there stays, unless it names the place (the last two) that this
-- one replaces because the chunk is lost there
INSERT INTO chunks (hash, pack, offset, stored, length) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (hash) DO UPDATE SET pack = excluded.pack, offset = excluded.offset, stored = excluded.stored
WHERE pack = ? AND offset = ?

-- last_pack: the highest number of a pack in use
SELECT max(pack) FROM chunks

-- get_node: one node of a file tree
SELECT data FROM nodes WHERE hash = :hash

-- add_node: a node; the same bytes may come twice, and where they differ those that were there are damaged
INSERT INTO nodes (hash, data) VALUES (?, ?)
ON CONFLICT (hash) DO UPDATE SET data = excluded.data WHERE data <> excluded.data
