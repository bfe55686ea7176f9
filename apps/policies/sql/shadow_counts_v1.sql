-- Adds to what policies in shadow would have said: [{version_id, organization_id, asked, denied, for_review}].
-- In one order, since gateways that write at the same time wait for each other's rows. Returns how many versions.
CREATE FUNCTION policies_count_shadow_v1(counted jsonb) RETURNS integer LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    versions integer;
BEGIN
    INSERT INTO policies_shadowcount AS held (version_id, organization_id, asked, denied, for_review, first_at, last_at)
    SELECT c.version_id, c.organization_id, c.asked, c.denied, c.for_review, spendra_now_v1(), spendra_now_v1()
    FROM jsonb_to_recordset(counted) AS c (
        version_id uuid, organization_id uuid, asked bigint, denied bigint, for_review bigint)
    ORDER BY c.version_id
    ON CONFLICT (version_id) DO UPDATE SET asked = held.asked + EXCLUDED.asked, denied = held.denied + EXCLUDED.denied,
        for_review = held.for_review + EXCLUDED.for_review, last_at = EXCLUDED.last_at;
    GET DIAGNOSTICS versions = ROW_COUNT;
    RETURN versions;
END $$;
