CREATE TYPE outbox_message_v1 AS (id uuid, organization_id uuid, topic text, payload jsonb);

-- Called inside the transaction of whoever caused the fact. No NOTIFY: it would serialise all commits.
CREATE FUNCTION outbox_put_v1(messages outbox_message_v1[], at timestamptz) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    INSERT INTO outbox_outboxmessage (id, organization_id, topic, payload, created_at)
    SELECT id, organization_id, topic, payload, at FROM unnest(messages);
END $$;
