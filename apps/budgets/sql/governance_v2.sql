-- The rules' version: a new token, and what moved, so that a gateway reads again only that.

-- Notes that a row of an organization's rules moves in this transaction; an empty name stands for all there is.
--
-- The first note of an organization takes the fence, which is held until the commit is visible, and only then are numbers
-- taken: whoever sees a number of this table sees every smaller one. It also names the token that went before: from a
-- token that it holds, a gateway follows the notes to the one in force, or finds a link missing and loads all of it.
CREATE FUNCTION budgets_note_change_v2(organization uuid, changed_table text, changed_row text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    -- As many as a gateway follows (MOST_CHANGES in apps/gateway/rules_following.py): more would only hold the fence.
    most CONSTANT integer := 500;
    -- {organization: [new token, number of the first note, whether all is noted]}: nobody sees the token before the commit,
    -- so one a transaction is enough. As local as the notes: a rollback to a savepoint takes back both.
    noted jsonb := coalesce(nullif(current_setting('spendra.noted', true), ''), '{}');
    own jsonb := noted -> organization::text;
    previous uuid;
    number bigint;
BEGIN
    IF own ->> 2 = 'true' THEN
        RETURN;
    ELSIF own IS NULL THEN
        -- Somebody who made constraints immediate and then idles would stop every reserve: end him after a second.
        PERFORM set_config('idle_in_transaction_session_timeout', '1s', true);
        PERFORM pg_advisory_xact_lock(budgets_fence_v1());
        SELECT token INTO previous FROM budgets_governanceversion WHERE id = organization;
    END IF;
    number := nextval('budgets_governancechange_seq_seq');
    IF own IS NULL OR changed_row = '' OR number - (own ->> 1)::bigint >= most THEN
        changed_row := CASE WHEN own IS NULL THEN changed_row ELSE '' END;
        own := jsonb_build_array(coalesce(own ->> 0, gen_random_uuid()::text), coalesce((own ->> 1)::bigint, number),
                                 changed_row = '');
        PERFORM set_config('spendra.noted', (noted || jsonb_build_object(organization, own))::text, true);
        INSERT INTO budgets_governanceversion (id, token) VALUES (organization, (own ->> 0)::uuid)
        ON CONFLICT (id) DO UPDATE SET token = EXCLUDED.token;
    END IF;
    INSERT INTO budgets_governancechange (seq, organization_id, token, previous_token, table_name, row_name, changed_at)
    VALUES (number, organization, (own ->> 0)::uuid, previous, changed_table, changed_row, spendra_now_v1());
END $$;

-- Deferred: runs as the last act of a transaction that changed a table which gateways decide by.
-- Arguments: the column that names the organization ('organization_id' or 'id'), or 'global'; the column by which gateways
-- read the row again. The nil UUID stands for everybody's rules (the catalog).
CREATE FUNCTION budgets_bump_v2() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    noted jsonb := nullif(current_setting('spendra.noted', true), '');
    was_of uuid;
    is_of uuid;
    was_called text;
    is_called text;
BEGIN
    IF TG_ARGV[0] = 'organization_id' THEN
        was_of := OLD.organization_id;
        is_of := NEW.organization_id;
    ELSIF TG_ARGV[0] = 'id' THEN
        was_of := OLD.id;
        is_of := NEW.id;
    ELSE
        was_of := CASE WHEN TG_OP <> 'INSERT' THEN '00000000-0000-0000-0000-000000000000' END;
        is_of := CASE WHEN TG_OP <> 'DELETE' THEN '00000000-0000-0000-0000-000000000000' END;
    END IF;
    -- The fence is held by now: the rest of a big import must pass quickly.
    IF noted -> coalesce(is_of, was_of)::text ->> 2 = 'true' AND coalesce(was_of = is_of, true) THEN
        RETURN NULL;
    END IF;
    was_called := coalesce(to_jsonb(OLD) ->> TG_ARGV[1], '');
    is_called := coalesce(to_jsonb(NEW) ->> TG_ARGV[1], '');
    IF is_of IS NOT NULL THEN
        PERFORM budgets_note_change_v2(is_of, TG_TABLE_NAME, is_called);
    END IF;
    -- A row that leaves its name or its organization moves both.
    IF was_of IS NOT NULL AND (was_of, was_called) IS DISTINCT FROM (is_of, is_called) THEN
        PERFORM budgets_note_change_v2(was_of, TG_TABLE_NAME, was_called);
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION budgets_bump_all_v2() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(budgets_fence_v1());
    -- What was noted before in this transaction gets a new token, too.
    PERFORM set_config('spendra.noted', '', true);
    PERFORM budgets_note_change_v2(version.id, TG_TABLE_NAME, '')
    FROM (SELECT id FROM budgets_governanceversion ORDER BY id) version;
    RETURN NULL;
END $$;

-- Every table that a snapshot reads needs both triggers: a test compares with what a load really reads.
CREATE FUNCTION budgets_govern_v2(governed regclass, organization_column text, row_column text)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('lock_timeout', '5s', true);
    EXECUTE format('CREATE CONSTRAINT TRIGGER governance AFTER INSERT OR UPDATE OR DELETE ON %s '
                   'DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION budgets_bump_v2(%L, %L)',
                   governed, organization_column, row_column);
    EXECUTE format('CREATE TRIGGER governance_truncate AFTER TRUNCATE ON %s '
                   'FOR EACH STATEMENT EXECUTE FUNCTION budgets_bump_all_v2()', governed);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER governance', governed);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER governance_truncate', governed);
END $$;

SELECT budgets_govern_v2('orgs_organization', 'id', 'id');
SELECT budgets_govern_v2('orgs_unit', 'organization_id', 'id');
SELECT budgets_govern_v2('orgs_unitedge', 'organization_id', 'child_id');
SELECT budgets_govern_v2('keys_key', 'organization_id', 'key_id');
SELECT budgets_govern_v2('keys_grant', 'organization_id', 'key_id');
SELECT budgets_govern_v2('providers_provideraccount', 'organization_id', 'provider');
SELECT budgets_govern_v2('budgets_budget', 'organization_id', 'id');
SELECT budgets_govern_v2('catalog_catalogmodel', 'global', 'id');
SELECT budgets_govern_v2('catalog_modelalias', 'global', 'model_id');
SELECT budgets_govern_v2('catalog_priceversion', 'global', 'model_id');
SELECT budgets_govern_v2('catalog_price', 'global', 'version_id');

INSERT INTO budgets_governanceversion (id, token) SELECT '00000000-0000-0000-0000-000000000000', gen_random_uuid();
INSERT INTO budgets_governanceversion (id, token) SELECT id, gen_random_uuid() FROM orgs_organization;
