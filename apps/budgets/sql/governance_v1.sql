-- Deferred: runs as the last act of a transaction that changed a table which gateways decide by.
-- Argument: the column that names the organization, or 'global'. The nil UUID stands for everybody's rules (the catalog).
CREATE FUNCTION budgets_bump_v1() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed uuid[];
    moved text := coalesce(current_setting('spendra.moved', true), '');
    organization uuid;
BEGIN
    IF TG_ARGV[0] = 'global' THEN
        changed := ARRAY['00000000-0000-0000-0000-000000000000'];
    ELSE
        changed := ARRAY[to_jsonb(NEW) ->> TG_ARGV[0], to_jsonb(OLD) ->> TG_ARGV[0]];
    END IF;
    FOREACH organization IN ARRAY changed LOOP
        -- Once a transaction is enough: nobody sees the token, and the fence is held, until the commit.
        CONTINUE WHEN organization IS NULL OR position(organization::text IN moved) > 0;
        -- Somebody who made constraints immediate and then idles would stop every reserve: end him after a second.
        PERFORM set_config('idle_in_transaction_session_timeout', '1s', true);
        PERFORM pg_advisory_xact_lock(budgets_fence_v1());
        INSERT INTO budgets_governanceversion AS version (id, token) VALUES (organization, gen_random_uuid())
        ON CONFLICT (id) DO UPDATE SET token = EXCLUDED.token;
        moved := moved || organization::text;
        PERFORM set_config('spendra.moved', moved, true);
    END LOOP;
    RETURN NULL;
END $$;

CREATE FUNCTION budgets_bump_all_v1() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('idle_in_transaction_session_timeout', '1s', true);
    PERFORM pg_advisory_xact_lock(budgets_fence_v1());
    UPDATE budgets_governanceversion SET token = gen_random_uuid();
    RETURN NULL;
END $$;

-- Every table that a snapshot reads needs both triggers: a test compares with what a load really reads.
CREATE FUNCTION budgets_govern_v1(governed regclass, organization_column text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE CONSTRAINT TRIGGER governance AFTER INSERT OR UPDATE OR DELETE ON %s '
                   'DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION budgets_bump_v1(%L)',
                   governed, organization_column);
    EXECUTE format('CREATE TRIGGER governance_truncate AFTER TRUNCATE ON %s '
                   'FOR EACH STATEMENT EXECUTE FUNCTION budgets_bump_all_v1()', governed);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER governance', governed);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER governance_truncate', governed);
END $$;

SELECT budgets_govern_v1('orgs_organization', 'id');
SELECT budgets_govern_v1(t, 'organization_id') FROM unnest(ARRAY[
    'orgs_unit', 'orgs_unitedge', 'keys_key', 'keys_grant', 'providers_provideraccount', 'budgets_budget']::regclass[]) t;
SELECT budgets_govern_v1(t, 'global') FROM unnest(ARRAY[
    'catalog_catalogmodel', 'catalog_modelalias', 'catalog_priceversion', 'catalog_price']::regclass[]) t;

INSERT INTO budgets_governanceversion (id, token) SELECT '00000000-0000-0000-0000-000000000000', gen_random_uuid();
INSERT INTO budgets_governanceversion (id, token) SELECT id, gen_random_uuid() FROM orgs_organization;
