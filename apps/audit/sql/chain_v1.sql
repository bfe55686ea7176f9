-- Each record gets a link in the chain of its organization (nil UUID: the whole installation's), in its own transaction.
-- A link's hash covers the content of its record and the hash of the link before.

-- What a hash covers. jsonb has one text for one value; instants are in UTC, whatever the session's zone.
CREATE FUNCTION audit_content_v1(chain uuid, place bigint, told audit_auditrecord) RETURNS bytea LANGUAGE sql STABLE AS $$
    SELECT convert_to(jsonb_build_array(
        chain, place, told.id, to_char(told.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        told.organization_id, told.actor, told.action, told.object_kind, told.object_id, told.before, told.after,
        told.reason)::text, 'UTF8')
$$;

CREATE FUNCTION audit_hash_v1(previous bytea, chain uuid, place bigint, told audit_auditrecord)
RETURNS bytea LANGUAGE sql STABLE AS $$ SELECT sha256(coalesce(previous, '') || audit_content_v1(chain, place, told)) $$;

-- Where records wait between the two triggers below. No committed transaction leaves a row here, and nobody sees another's.
CREATE TABLE audit_unlinked (place bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, record_id uuid NOT NULL);

-- A transaction that changes rules takes the fence in a deferred trigger, and must take it before the lock of a chain, or
-- two of them deadlock. So linking is deferred twice: what a deferred trigger defers runs after all that was deferred
-- before. It also lasts no longer than the commit: no row lock is asked for with the lock of a chain in hand.
CREATE FUNCTION audit_await_link_v1() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_unlinked (record_id) VALUES (NEW.id);
    RETURN NULL;
END $$;

CREATE FUNCTION audit_chain_lock_v1(chain uuid) RETURNS bigint LANGUAGE sql IMMUTABLE AS
$$ SELECT hashtextextended('audit chain ' || chain::text, 0) $$;

-- The first call in a transaction links all its records, those of several organizations in one order of locks.
-- Its plans are made once a session, maybe while the tables are empty: by index.
CREATE FUNCTION audit_link_v1() RETURNS trigger LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
DECLARE
    waiting record;
    newest audit_auditlink;
BEGIN
    -- One place, by the index: to look for any would read all that this transaction has linked already, once a record.
    IF NOT EXISTS (SELECT FROM audit_unlinked WHERE place = NEW.place) THEN
        RETURN NULL;
    END IF;
    FOR waiting IN
        WITH taken AS (DELETE FROM audit_unlinked WHERE place >= NEW.place RETURNING place, record_id)
        SELECT told, chain FROM taken JOIN audit_auditrecord told ON told.id = taken.record_id,
               coalesce(told.organization_id, '00000000-0000-0000-0000-000000000000') AS chain
        ORDER BY audit_chain_lock_v1(chain), taken.place
    LOOP
        -- Somebody who made constraints immediate and then idles would stop every change: end him after a second.
        PERFORM set_config('idle_in_transaction_session_timeout', '1s', true);
        PERFORM pg_advisory_xact_lock(audit_chain_lock_v1(waiting.chain));
        -- A new statement: it sees what the last holder of the lock has committed.
        SELECT * INTO newest FROM audit_auditlink
        WHERE chain_id = waiting.chain ORDER BY place DESC LIMIT 1;
        INSERT INTO audit_auditlink (record_id, chain_id, place, hash)
        SELECT (waiting.told).id, waiting.chain, next, audit_hash_v1(newest.hash, waiting.chain, next, waiting.told)
        FROM (SELECT coalesce(newest.place, 0) + 1 AS next) following;
    END LOOP;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER chain AFTER INSERT ON audit_auditrecord DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION audit_await_link_v1();
CREATE CONSTRAINT TRIGGER chain AFTER INSERT ON audit_unlinked DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION audit_link_v1();
ALTER TABLE audit_auditrecord ENABLE ALWAYS TRIGGER chain;
ALTER TABLE audit_unlinked ENABLE ALWAYS TRIGGER chain;

SELECT spendra_protect_rows_v1(t), spendra_protect_truncate_v1(t)
FROM unnest(ARRAY['audit_auditlink', 'audit_auditcheckpoint']::regclass[]) t;

-- Records from before the chain; the triggers above link them at the end of this migration.
INSERT INTO audit_unlinked (record_id) SELECT id FROM audit_auditrecord ORDER BY id;
