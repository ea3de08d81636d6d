-- The tables of the engine. Times are nanoseconds since 1970 UTC; NULL means "not yet" or "none".
-- A change here is a new FORMAT in connect.py and a step that upgrades the old one.

CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- Bytes: where each chunk lies in the pack files, and the nodes of the file trees.
CREATE TABLE chunks (
    hash BLOB PRIMARY KEY, pack INTEGER NOT NULL, offset INTEGER NOT NULL,
    stored INTEGER NOT NULL, length INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE nodes (hash BLOB PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;

-- PFS. metadata is a JSON object of texts. Keys are never given out again (AUTOINCREMENT): whoever follows a repo that is
-- deleted must not find another.
CREATE TABLE projects (
    name TEXT PRIMARY KEY, description TEXT NOT NULL, created INTEGER NOT NULL, metadata TEXT NOT NULL DEFAULT '{}');
CREATE TABLE repos (
    key INTEGER PRIMARY KEY AUTOINCREMENT, project TEXT NOT NULL REFERENCES projects, name TEXT NOT NULL,
    type TEXT NOT NULL, description TEXT NOT NULL, created INTEGER NOT NULL, metadata TEXT NOT NULL DEFAULT '{}',
    UNIQUE (project, name, type));
CREATE TABLE branches (
    key INTEGER PRIMARY KEY AUTOINCREMENT, repo INTEGER NOT NULL REFERENCES repos, name TEXT NOT NULL,
    head INTEGER REFERENCES commits, created INTEGER NOT NULL, updated INTEGER NOT NULL,
    metadata TEXT NOT NULL DEFAULT '{}', UNIQUE (repo, name));
-- What moves a branch to the head of another branch of its repo: upstream is that branch's name.
CREATE TABLE branch_triggers (
    branch INTEGER PRIMARY KEY REFERENCES branches, upstream TEXT NOT NULL, needs_all INTEGER NOT NULL,
    rate_limit_spec TEXT NOT NULL, size TEXT NOT NULL, commits INTEGER NOT NULL, cron_spec TEXT NOT NULL);
CREATE TABLE branch_provenance (
    branch INTEGER NOT NULL REFERENCES branches, upstream INTEGER NOT NULL REFERENCES branches,
    position INTEGER NOT NULL, propagate INTEGER NOT NULL, PRIMARY KEY (branch, upstream)) WITHOUT ROWID;
CREATE INDEX branch_subvenance ON branch_provenance (upstream);

-- key grows with time, so it orders commits. root is the file tree of a finished commit, until it is forgotten.
CREATE TABLE commits (
    key INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, repo INTEGER NOT NULL REFERENCES repos,
    branch TEXT NOT NULL, parent INTEGER REFERENCES commits, origin TEXT NOT NULL, description TEXT NOT NULL,
    started INTEGER NOT NULL, finishing INTEGER, finished INTEGER, error TEXT NOT NULL DEFAULT '',
    root BLOB, size INTEGER NOT NULL DEFAULT 0, is_forgotten INTEGER NOT NULL DEFAULT 0,
    metadata TEXT NOT NULL DEFAULT '{}', UNIQUE (id, repo));
CREATE INDEX commits_of_repo ON commits (repo, key);
CREATE INDEX commit_children ON commits (parent);
CREATE INDEX commits_unfinished ON commits (key) WHERE finished IS NULL;
CREATE TABLE commit_provenance (
    commit_key INTEGER NOT NULL REFERENCES commits, upstream INTEGER NOT NULL REFERENCES commits,
    PRIMARY KEY (commit_key, upstream)) WITHOUT ROWID;
CREATE INDEX commit_subvenance ON commit_provenance (upstream);

-- Files that no commit has: a tree, if any, with what lies over it in `staged`. Gone once it has expired, unless the
-- cache, a small memory for clients, speaks of it.
CREATE TABLE filesets (
    key INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, root BLOB, created INTEGER NOT NULL,
    expires INTEGER NOT NULL);
CREATE INDEX filesets_by_expiry ON filesets (expires);
CREATE TABLE cache (
    key TEXT PRIMARY KEY, value BLOB NOT NULL, tag TEXT NOT NULL, used INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX cache_by_use ON cache (used);
CREATE TABLE cache_filesets (
    entry TEXT NOT NULL REFERENCES cache ON DELETE CASCADE, fileset INTEGER NOT NULL REFERENCES filesets,
    PRIMARY KEY (entry, fileset)) WITHOUT ROWID;
CREATE INDEX cache_of_fileset ON cache_filesets (fileset);

-- What was written to an open commit, in order, gone once the commit is finished; or to a file set.
CREATE TABLE staged (
    key INTEGER PRIMARY KEY AUTOINCREMENT, commit_key INTEGER REFERENCES commits,
    fileset INTEGER REFERENCES filesets ON DELETE CASCADE, diff BLOB NOT NULL,
    CHECK ((commit_key IS NULL) <> (fileset IS NULL)));
CREATE INDEX staged_of_commit ON staged (commit_key, key);
CREATE INDEX staged_of_fileset ON staged (fileset, key);

-- The transactions that clients have open: info is a transaction_v2.TransactionInfo.
CREATE TABLE transactions (id TEXT PRIMARY KEY, started INTEGER NOT NULL, info BLOB NOT NULL) WITHOUT ROWID;

-- PPS. A pipeline is known by project and name; each update adds a version, marked by a commit of its spec repo.
CREATE TABLE pipelines (
    key INTEGER PRIMARY KEY AUTOINCREMENT, project TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL,
    state TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '', stopped INTEGER NOT NULL DEFAULT 0,
    created INTEGER NOT NULL, metadata TEXT NOT NULL DEFAULT '{}', kind TEXT NOT NULL DEFAULT 'transform',
    UNIQUE (project, name));
CREATE INDEX spouts ON pipelines (key) WHERE kind = 'spout';
-- The port of this machine at which a service was reached last.
CREATE TABLE service_ports (
    pipeline INTEGER PRIMARY KEY REFERENCES pipelines ON DELETE CASCADE, port INTEGER NOT NULL);
CREATE TABLE pipeline_versions (
    pipeline INTEGER NOT NULL REFERENCES pipelines, version INTEGER NOT NULL, spec_commit TEXT NOT NULL,
    user_spec TEXT NOT NULL, effective_spec TEXT NOT NULL, salt TEXT NOT NULL, created INTEGER NOT NULL,
    PRIMARY KEY (pipeline, version)) WITHOUT ROWID;

-- Users' secrets, in no project, labels a JSON object of texts; their values go to the code that a spec says, nowhere
-- else. And what a project lays over the cluster's defaults (a setting) in the specs of its pipelines.
CREATE TABLE secrets (
    name TEXT PRIMARY KEY, type TEXT NOT NULL, labels TEXT NOT NULL, created INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE secret_values (
    secret TEXT NOT NULL REFERENCES secrets, key TEXT NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY (secret, key)) WITHOUT ROWID;
CREATE TABLE project_defaults (
    project TEXT PRIMARY KEY REFERENCES projects ON DELETE CASCADE, json TEXT NOT NULL,
    created INTEGER NOT NULL) WITHOUT ROWID;

-- How far the schedule of each cron input of a pipeline's current version has been followed: its last tick (NULL: none
-- yet; ticks that were asked for by hand don't count) and the time of the next (NULL: never).
CREATE TABLE cron_inputs (
    pipeline INTEGER NOT NULL REFERENCES pipelines, name TEXT NOT NULL, last INTEGER, due INTEGER,
    PRIMARY KEY (pipeline, name)) WITHOUT ROWID;

-- A job is a pipeline's work on one commit set: same id as its output commit, and gone with it. image is what its code
-- was. The numbers behind total are kept as its datums settle, so that nobody has to count them: how many ended how, the
-- first that failed, and the sums over those that ran (times in nanoseconds). plan is JSON: what is kept, what runs and why.
-- A service's job is serving from when it first answers until the next one does.
CREATE TABLE jobs (
    key INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, pipeline INTEGER NOT NULL REFERENCES pipelines,
    version INTEGER NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '',
    output INTEGER NOT NULL REFERENCES commits DEFERRABLE INITIALLY DEFERRED,
    meta INTEGER NOT NULL REFERENCES commits DEFERRABLE INITIALLY DEFERRED,
    created INTEGER NOT NULL, started INTEGER, finished INTEGER, restarts INTEGER NOT NULL DEFAULT 0,
    is_planned INTEGER NOT NULL DEFAULT 0, image TEXT NOT NULL DEFAULT '', total INTEGER NOT NULL DEFAULT 0,
    processed INTEGER NOT NULL DEFAULT 0, skipped INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0,
    recovered INTEGER NOT NULL DEFAULT 0, failed_datum TEXT NOT NULL DEFAULT '',
    download_time INTEGER NOT NULL DEFAULT 0, process_time INTEGER NOT NULL DEFAULT 0,
    upload_time INTEGER NOT NULL DEFAULT 0, download_bytes INTEGER NOT NULL DEFAULT 0,
    upload_bytes INTEGER NOT NULL DEFAULT 0, plan TEXT NOT NULL DEFAULT '', is_serving INTEGER NOT NULL DEFAULT 0,
    UNIQUE (pipeline, id));
CREATE INDEX jobs_of_set ON jobs (id);
CREATE INDEX jobs_of_pipeline ON jobs (pipeline, key);
CREATE INDEX jobs_of_output ON jobs (output);
CREATE INDEX jobs_of_meta ON jobs (meta);
CREATE INDEX jobs_unfinished ON jobs (pipeline, key)
    WHERE state IN ('created', 'starting', 'running', 'egressing', 'finishing');

-- What became of a datum when it ran: made_by is the job that ran it; hash and code are what pps/skipping.py compares.
CREATE TABLE datum_records (
    key INTEGER PRIMARY KEY AUTOINCREMENT, hash TEXT NOT NULL, code TEXT NOT NULL, state TEXT NOT NULL,
    made_by TEXT NOT NULL, record TEXT NOT NULL);
-- The datums of a job that are settled. One that is kept shares the record of the job that ran it, so that a job costs
-- what runs in it. counts_as is the code that a kept datum counts as made by if a user said so, else ''.
CREATE TABLE datums (
    job INTEGER NOT NULL REFERENCES jobs, id TEXT NOT NULL, record INTEGER NOT NULL REFERENCES datum_records,
    counts_as TEXT NOT NULL DEFAULT '', PRIMARY KEY (job, id)) WITHOUT ROWID;
CREATE INDEX datums_of_record ON datums (record);

CREATE TABLE logs (
    key INTEGER PRIMARY KEY AUTOINCREMENT, time INTEGER NOT NULL, pipeline INTEGER NOT NULL, job TEXT NOT NULL,
    datum TEXT NOT NULL, worker TEXT NOT NULL, is_master INTEGER NOT NULL, is_user INTEGER NOT NULL,
    message TEXT NOT NULL);
CREATE INDEX logs_of_pipeline ON logs (pipeline, job, key);
