-- A decision names the version that it used: what a version said then, it says for ever.
CREATE FUNCTION policies_keep_version_v1() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR OLD.state <> 'draft' AND (
        OLD.policy_id, OLD.organization_id, OLD.number, OLD.selector, OLD.rule, OLD.created_by, OLD.created_at)
        IS DISTINCT FROM (
        NEW.policy_id, NEW.organization_id, NEW.number, NEW.selector, NEW.rule, NEW.created_by, NEW.created_at) THEN
        RAISE EXCEPTION 'version % of policy % is kept as it is', OLD.number, OLD.policy_id
            USING ERRCODE = 'insufficient_privilege', HINT = 'Make a new version of the policy.';
    END IF;
    -- Nothing returns: draft, shadow, active, retired.
    IF array_position(ARRAY['draft', 'shadow', 'active', 'retired'], OLD.state::text)
            > array_position(ARRAY['draft', 'shadow', 'active', 'retired'], NEW.state::text) THEN
        RAISE EXCEPTION 'version % of policy % is %, and does not become % again',
            OLD.number, OLD.policy_id, OLD.state, NEW.state
            USING ERRCODE = 'insufficient_privilege', HINT = 'Make a new version of the policy.';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER keep_version BEFORE UPDATE OR DELETE ON policies_policyversion
FOR EACH ROW EXECUTE FUNCTION policies_keep_version_v1();
ALTER TABLE policies_policyversion ENABLE ALWAYS TRIGGER keep_version;
