-- Notes what gateways refused: [{id, organization_id, key_id, provider, model, code, message, details, basis, at}]; basis,
-- what was decided on, may be null. A request is refused once: what is noted again is left as it was.
CREATE FUNCTION policies_note_refusals_v2(refusals jsonb) RETURNS integer LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    noted integer;
BEGIN
    INSERT INTO policies_refusal (id, organization_id, key_id, provider, model, code, message, details, basis, at)
    SELECT id, organization_id, key_id, provider, model, code, message, details, nullif(basis, 'null'), at
    FROM jsonb_to_recordset(refusals) AS r (id uuid, organization_id uuid, key_id text, provider text, model text,
        code text, message text, details jsonb, basis jsonb, at timestamptz)
    ORDER BY id
    ON CONFLICT (id) DO NOTHING;
    GET DIAGNOSTICS noted = ROW_COUNT;
    RETURN noted;
END $$;
