-- add_fileset: a new one
INSERT INTO filesets (id, root, created, expires) VALUES (:id, :root, :now, :expires)

-- add_layer: what lies over its tree and the layers before
INSERT INTO staged (fileset, diff) VALUES (:fileset, :diff)

-- add_layers_of_commit: everything that was written to an open commit so far
INSERT INTO staged (fileset, diff) SELECT :fileset, diff FROM staged WHERE commit_key = :commit ORDER BY key

-- add_layers_of_fileset: everything that another file set has over its tree
INSERT INTO staged (fileset, diff) SELECT :fileset, diff FROM staged WHERE fileset = :source ORDER BY key

-- stage_fileset: write what a file set has over its tree to an open commit
INSERT INTO staged (commit_key, diff) SELECT :commit, diff FROM staged WHERE fileset = :fileset ORDER BY key

-- get_fileset: one by id, unless it has expired; the cache keeps those that it speaks of
SELECT * FROM filesets f WHERE id = :id
AND (expires > :now OR EXISTS (SELECT 1 FROM cache_filesets c WHERE c.fileset = f.key))

-- layers_of_fileset: what lies over its tree, in order
SELECT diff FROM staged WHERE fileset = :fileset ORDER BY key

-- renew_fileset: let it live on
UPDATE filesets SET expires = :expires WHERE key = :key

-- next_expiry: when the next file set goes that nothing keeps
SELECT expires FROM filesets f WHERE NOT EXISTS (SELECT 1 FROM cache_filesets c WHERE c.fileset = f.key)
ORDER BY expires LIMIT 1

-- delete_expired_filesets: with their layers
DELETE FROM filesets WHERE expires <= :now
AND NOT EXISTS (SELECT 1 FROM cache_filesets c WHERE c.fileset = filesets.key)

-- put_cache: remember a value, unless the key has one
INSERT OR IGNORE INTO cache (key, value, tag, used) VALUES (:key, :value, :tag, :now)

-- cache_fileset: a file set that a value speaks of
INSERT OR IGNORE INTO cache_filesets (entry, fileset) VALUES (:key, :fileset)

-- get_cache: the value of a key
SELECT value FROM cache WHERE key = :key

-- touch_cache: it was asked for
UPDATE cache SET used = :now WHERE key = :key

-- clear_cache: forget what has a tag that begins so
DELETE FROM cache WHERE substr(tag, 1, length(:prefix)) = :prefix

-- trim_cache: forget what was not asked for the longest
DELETE FROM cache WHERE key IN (SELECT key FROM cache ORDER BY used DESC LIMIT -1 OFFSET :most)
