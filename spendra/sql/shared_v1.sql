-- The clock of money and validity. Tests that need another time replace this function in their own database.
CREATE FUNCTION spendra_now_v1() RETURNS timestamptz LANGUAGE sql VOLATILE AS 'SELECT clock_timestamp()';

-- For append-only tables. SQLSTATE 42501, so that no retry of a batch takes it for bad data.
CREATE FUNCTION spendra_refuse_change_v1() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'insufficient_privilege', HINT = 'Book a correction instead.';
END $$;

-- Row triggers on a partitioned parent reach its partitions; statement triggers (TRUNCATE) do not: one for each table.
CREATE FUNCTION spendra_protect_rows_v1(protected regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON %s '
                   'FOR EACH ROW EXECUTE FUNCTION spendra_refuse_change_v1()', protected);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER append_only', protected);
END $$;

CREATE FUNCTION spendra_protect_truncate_v1(protected regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON %s '
                   'FOR EACH STATEMENT EXECUTE FUNCTION spendra_refuse_change_v1()', protected);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER append_only_truncate', protected);
END $$;

-- One month's partition. LIKE + ATTACH, since PARTITION OF takes ACCESS EXCLUSIVE on the parent and stalls every settle.
CREATE FUNCTION spendra_add_partition_v1(parent regclass, name text, lower_bound text, upper_bound text)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('lock_timeout', '1s', true);
    EXECUTE format('CREATE TABLE %I (LIKE %s INCLUDING ALL)', name, parent);
    EXECUTE format('ALTER TABLE %s ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, name, lower_bound, upper_bound);
    -- Cloned row triggers come enabled for origin only: a replica session would pass them.
    IF EXISTS (SELECT FROM pg_trigger WHERE tgrelid = parent AND tgname = 'append_only') THEN
        EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER append_only', name);
        PERFORM spendra_protect_truncate_v1(name::regclass);
    END IF;
END $$;

-- The smallest UUIDv7 of an instant: a bound for tables partitioned by id.
CREATE FUNCTION spendra_uuid7_floor_v1(at timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE AS
$$ SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid $$;

-- Last month to twelve months ahead, in UTC; by is 'time' or 'uuid7'. Returns how many partitions it made.
CREATE FUNCTION spendra_ensure_month_partitions_v1(parent regclass, by text) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    made integer := 0;
    first_month timestamp := date_trunc('month', spendra_now_v1() AT TIME ZONE 'UTC') - interval '1 month';
    month timestamp;
    name text;
    bounds timestamptz[];
BEGIN
    FOR month IN SELECT generate_series(first_month, first_month + interval '13 months', interval '1 month') LOOP
        name := format('%s_%s', parent, to_char(month, 'YYYY_MM'));
        CONTINUE WHEN to_regclass(name) IS NOT NULL;
        bounds := ARRAY[month AT TIME ZONE 'UTC', (month + interval '1 month') AT TIME ZONE 'UTC'];
        IF by = 'uuid7' THEN
            PERFORM spendra_add_partition_v1(
                parent, name, spendra_uuid7_floor_v1(bounds[1])::text, spendra_uuid7_floor_v1(bounds[2])::text);
        ELSE
            PERFORM spendra_add_partition_v1(parent, name, bounds[1]::text, bounds[2]::text);
        END IF;
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;
