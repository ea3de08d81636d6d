-- get_secret: what may be shown of one
SELECT name, type, created FROM secrets WHERE name = :name

-- list_secrets: what may be shown of all, by name
SELECT name, type, created FROM secrets ORDER BY name

-- add_secret: a new one, without values yet
INSERT INTO secrets (name, type, labels, created) VALUES (:name, :type, :labels, :created)

-- add_secret_values: by key
INSERT INTO secret_values (secret, key, value) VALUES (?, ?, ?)

-- secret_values: all of one, by key
SELECT key, value FROM secret_values WHERE secret = :name ORDER BY key

-- get_secret_value: one value
SELECT value FROM secret_values WHERE secret = :name AND key = :key

-- delete_secret_values: all of one
DELETE FROM secret_values WHERE secret = :name

-- delete_secret: its row alone
DELETE FROM secrets WHERE name = :name
