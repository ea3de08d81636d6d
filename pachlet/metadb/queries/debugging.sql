-- count_rows: how much there is of what users know by name
SELECT (SELECT count(*) FROM projects) AS projects, (SELECT count(*) FROM repos) AS repos,
    (SELECT count(*) FROM branches) AS branches, (SELECT count(*) FROM commits) AS commits,
    (SELECT count(*) FROM pipelines) AS pipelines, (SELECT count(*) FROM jobs) AS jobs,
    (SELECT count(*) FROM transactions) AS transactions
