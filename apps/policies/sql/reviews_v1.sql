-- asked: {id (a new UUIDv7), organization_id, key_id, actor_id, policy_version_id, provider, model, asked_nanos}.
-- Returns the id of the one pending review of that key and model, which keeps the greatest amount that was asked; or NULL
-- where the organization, or the key, has so many pending that nobody reads them (a few more where many ask at once).
CREATE FUNCTION policies_put_review_v1(asked jsonb) RETURNS uuid LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    most_of_organization CONSTANT integer := 1000;
    most_of_key CONSTANT integer := 50;
    organization CONSTANT uuid := asked ->> 'organization_id';
    key CONSTANT text := asked ->> 'key_id';
    nanos CONSTANT bigint := asked ->> 'asked_nanos';
    found_id uuid;
    found_nanos bigint;
BEGIN
    SELECT id, asked_nanos INTO found_id, found_nanos FROM policies_review
    WHERE organization_id = organization AND key_id = key AND provider = asked ->> 'provider'
        AND model = asked ->> 'model' AND state = 'pending';
    -- A client that repeats itself writes nothing.
    IF found_nanos >= nanos THEN
        RETURN found_id;
    ELSIF found_id IS NULL AND (
        (SELECT count(*) FROM policies_review WHERE organization_id = organization AND state = 'pending')
            >= most_of_organization
        OR (SELECT count(*) FROM policies_review
            WHERE organization_id = organization AND key_id = key AND state = 'pending') >= most_of_key) THEN
        RETURN NULL;
    END IF;
    INSERT INTO policies_review (id, organization_id, key_id, actor_id, policy_version_id, provider, model, asked_nanos,
        state, decided_by, note, created_at)
    VALUES ((asked ->> 'id')::uuid, organization, key, (asked ->> 'actor_id')::uuid,
        (asked ->> 'policy_version_id')::uuid, asked ->> 'provider', asked ->> 'model', nanos,
        'pending', '', '', spendra_now_v1())
    ON CONFLICT (organization_id, key_id, provider, model) WHERE state = 'pending'
    DO UPDATE SET asked_nanos = greatest(policies_review.asked_nanos, EXCLUDED.asked_nanos)
    RETURNING id INTO found_id;
    RETURN found_id;
END $$;

-- Called inside reserve, after the fence: whether this reservation may pass by this approval. True once; true again for the
-- same reservation, whose reply may have been lost. Two that ask at once wait for each other: a batch asks in the order of
-- approval ids. Amount, key, model and time are the snapshot's to compare, under its token and its time.
CREATE FUNCTION policies_use_approval_v1(approval uuid, reservation uuid, at timestamptz)
RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    INSERT INTO policies_approvaluse (approval_id, reservation_id, used_at) VALUES (approval, reservation, at)
    ON CONFLICT (approval_id) DO NOTHING;
    RETURN FOUND OR EXISTS (
        SELECT FROM policies_approvaluse WHERE approval_id = approval AND reservation_id = reservation);
END $$;

-- Called inside settle, for reservations that were voided: the provider was not paid, so the approval may be used again.
CREATE FUNCTION policies_free_approvals_v1(voided uuid[]) RETURNS void LANGUAGE sql VOLATILE AS
$$ DELETE FROM policies_approvaluse WHERE reservation_id = ANY (voided) $$;
