-- get_setting: one setting of the data directory
SELECT value FROM settings WHERE key = :key

-- put_setting: set it
INSERT INTO settings (key, value) VALUES (:key, :value) ON CONFLICT (key) DO UPDATE SET value = excluded.value
