-- A queue: every row is written once and deleted once. Vacuum comes by a fixed number of dead rows, however long the
-- backlog is, and does not ask for the lock with which it gives pages back: that would stall every settle.
ALTER TABLE outbox_outboxmessage SET (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 50000,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 50000, vacuum_truncate = off);

-- The messages of a topic that a consumer has not taken: still in the queue, or failed. Whoever compares what it holds
-- with its source leaves these out; in one statement both are seen as of the same moment.
CREATE FUNCTION outbox_undelivered_v1(wanted_consumer text, wanted_topic text, organization uuid)
RETURNS SETOF uuid LANGUAGE sql STABLE AS $$
    SELECT id FROM outbox_outboxmessage WHERE topic = wanted_topic AND organization_id = organization
    UNION ALL
    SELECT message_id FROM outbox_delivery
    WHERE consumer = wanted_consumer AND topic = wanted_topic AND organization_id = organization
$$;
