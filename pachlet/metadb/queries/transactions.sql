-- list_transactions: all that are open, the oldest first
SELECT info FROM transactions ORDER BY started, id

-- get_transaction: one of them
SELECT info FROM transactions WHERE id = :id

-- add_transaction: a new one
INSERT INTO transactions (id, started, info) VALUES (:id, :started, :info)

-- set_transaction: it has one more request
UPDATE transactions SET info = :info WHERE id = :id

-- delete_transaction: it is finished or given up
DELETE FROM transactions WHERE id = :id

-- delete_transactions: all of them are given up
DELETE FROM transactions
