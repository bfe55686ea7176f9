-- Found by the id of the request alone; the organization's own newest first, for lists; pruned by age.
CREATE INDEX policies_refusal_by_organization ON policies_refusal (organization_id, id);

-- For how long nobody may remove what was noted.
CREATE FUNCTION policies_refusals_kept_v1() RETURNS interval LANGUAGE sql IMMUTABLE AS $$ SELECT interval '30 days' $$;

-- Append-only, but for those that are old enough to be forgotten.
CREATE FUNCTION policies_keep_refusal_v1() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND OLD.at < spendra_now_v1() - policies_refusals_kept_v1() THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON policies_refusal
FOR EACH ROW EXECUTE FUNCTION policies_keep_refusal_v1();
ALTER TABLE policies_refusal ENABLE ALWAYS TRIGGER append_only;
SELECT spendra_protect_truncate_v1('policies_refusal');
