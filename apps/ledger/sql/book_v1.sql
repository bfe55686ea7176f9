-- What one ending of a reservation books: an entry, and the spend event where usage was observed (usage is not null).
CREATE TYPE ledger_booking_v1 AS (
    entry_id uuid, organization_id uuid, reservation_id uuid, corrects_id uuid, kind text, status text, cause text,
    amount_nanos bigint, tokens bigint, cost_nanos bigint, provider text, model text, usage jsonb,
    price_version_id uuid, key_id text, actor_id uuid, scope_ids uuid[], period_ids bigint[], occurred_at timestamptz
);

-- Called by the settle function of budgets inside its transaction. The spend event carries the id of its entry.
CREATE FUNCTION ledger_book_v1(bookings ledger_booking_v1[], at timestamptz) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    INSERT INTO ledger_spendevent (id, organization_id, reservation_id, provider, model, usage, price_version_id,
                                   cost_nanos, status, occurred_at, booked_at)
    SELECT entry_id, organization_id, reservation_id, provider, model, usage, price_version_id,
           cost_nanos, status, occurred_at, at
    FROM unnest(bookings) WHERE usage IS NOT NULL;

    INSERT INTO ledger_ledgerentry (id, organization_id, reservation_id, spend_event_id, corrects_id, kind, status, cause,
                                    amount_nanos, tokens, provider, model, key_id, actor_id, scope_ids, period_ids,
                                    occurred_at, booked_at)
    SELECT entry_id, organization_id, reservation_id, CASE WHEN usage IS NOT NULL THEN entry_id END, corrects_id, kind,
           status, cause, amount_nanos, tokens, provider, model, key_id, actor_id, scope_ids, period_ids,
           occurred_at, at
    FROM unnest(bookings);
END $$;
