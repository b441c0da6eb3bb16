-- The second record_usage: events of an organization's customers are counted in the period in which they are received
-- (customers_v1.sql); what events add to the meters of a tier with metered prices is charged with them
-- (metered_prices_v1.sql), `metered` lists it by meter; what they cost, their own provider's bill included, is counted by the
-- budgets that they are in the scope of (budgets_v1.sql). Otherwise as before; see record_usage_v1.sql. How events are stored:
-- teams_v1.sql.
--
-- Locks: the organization's cutoff (shared), external ids (sorted), accounts (sorted), sums (sorted). Counters of meters and
-- windows of budgets are written under their account's lock.

CREATE OR REPLACE FUNCTION record_usage(p_events jsonb, p_at timestamptz)
RETURNS TABLE (ord integer, status text, event_id uuid, entry_id uuid, charged numeric, balance numeric, held numeric,
               available numeric, excess numeric)
LANGUAGE plpgsql SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    defaults metering_report;
    events metering_report[];
    accepted metering_report[];
    answers metering_answer[];
    refused text[] := '{}';   -- by place; null where the event is accepted
    first_ids uuid[] := '{}'; -- by place; the event that took the external_id before
    undone uuid[] := '{}';    -- events that the ledger refused after their external_id was taken
    seed text := farebox_uuid7();
    named bigint;
    costly boolean;
    of_customers boolean;
    metered boolean;
    unpaid boolean;  -- some cost the customer's own provider alone, or replace what may have: budgets count them too
    replaced metering_usageevent[];
    all_moved boolean;
    known record;
    n integer;
BEGIN
    defaults := jsonb_populate_record(NULL::metering_report, '{
        "name": "", "model": "", "provider": "", "tier_slug": "", "generation_id": "", "is_free": false, "is_byok": false,
        "prompt_tokens": 0, "completion_tokens": 0, "cached_tokens": 0, "cache_write_tokens": 0, "reasoning_tokens": 0,
        "quantity": 0, "provider_cost": 0, "markup": 0, "charge": 0, "byok_cost": 0, "status": "ok",
        "tags": {}, "metadata": {}, "derivation": {}, "actor": "", "limit_ids": []}');
    SELECT array_agg(e), count(e.external_id), bool_or(e.charge > 0 OR e.hold_id IS NOT NULL),
           bool_or(e.external_customer_id IS NOT NULL OR e.customer_id IS NOT NULL),
           bool_or(e.metered IS NOT NULL OR e.corrects_id IS NOT NULL),
           bool_or(e.charge = 0 AND e.hold_id IS NULL AND (e.byok_cost > 0 OR e.corrects_id IS NOT NULL))
    INTO events, named, costly, of_customers, metered, unpaid
    FROM jsonb_populate_recordset(defaults, p_events) e;

    IF of_customers THEN
        p_at := metering_enter(events, p_at);
    END IF;
    IF named > 0 THEN
        FOR known IN SELECT * FROM metering_take_keys(events, named) LOOP
            refused[known.place] := CASE WHEN known.is_same THEN 'duplicate' ELSE 'key_reused' END;
            first_ids[known.place] := known.first_id;
        END LOOP;
    END IF;

    IF unpaid THEN
        PERFORM credits_lock(ARRAY(SELECT DISTINCT e.organization_id FROM unnest(events) e));
    END IF;
    IF costly OR metered THEN
        IF metered THEN
            SELECT array_agg(m), bool_and(m.status = 'recorded') INTO answers, all_moved
            FROM metering_charge_all(events, refused, seed, p_at) m;
        ELSE
            SELECT array_agg(m), bool_and(m.status = 'recorded') INTO answers, all_moved
            FROM metering_move_money(events, refused, seed, p_at) m;
        END IF;
        IF NOT all_moved THEN
            FOR known IN SELECT m.place, m.event_id, m.status FROM unnest(answers) m WHERE m.status <> 'recorded' LOOP
                refused[known.place] := known.status;
                undone := undone || known.event_id;
            END LOOP;
            DELETE FROM metering_usagekey k USING unnest(events) e
            WHERE e.id = ANY (undone) AND k.organization_id = e.organization_id AND k.external_id = e.external_id
                  AND k.event_id = e.id;
        END IF;
        RETURN QUERY
        SELECT m.place, m.status, m.event_id, m.entry_id, m.charged, m.balance, m.held, m.available, m.excess
        FROM unnest(answers) m;
    END IF;

    -- Once for the event and all its sums: somebody may move between two statements.
    IF EXISTS (SELECT FROM accounts_teamplacement) THEN
        events := metering_with_teams(events);
    END IF;
    accepted := events;
    IF refused <> '{}' THEN
        accepted := ARRAY(SELECT events[o] FROM generate_series(1, cardinality(events)) o WHERE refused[o] IS NULL);
        entry_id := NULL; charged := NULL; balance := NULL; held := NULL; available := NULL; excess := NULL;
        FOR n IN SELECT o FROM generate_subscripts(first_ids, 1) o WHERE first_ids[o] IS NOT NULL LOOP
            ord := n;
            event_id := first_ids[n];
            status := refused[n];
            IF event_id = ANY (undone) THEN  -- the first of two equal events was refused just now: so is this one
                SELECT m.status INTO status FROM unnest(answers) m WHERE m.event_id = first_ids[n];
            END IF;
            RETURN NEXT;
        END LOOP;
    END IF;
    IF accepted <> '{}' THEN
        PERFORM metering_store(events, refused, seed, p_at);
        replaced := metering_void_replaced(accepted, p_at);
        PERFORM metering_roll_up(accepted, replaced, -1);
        PERFORM metering_count_budgets(accepted, replaced, p_at);
    END IF;
END
$$;

-- Takes one event out of the sums, out of what its tier's meters have charged and out of budgets, for good. False when it does
-- not exist or is void already.
CREATE OR REPLACE FUNCTION void_usage(p_organization uuid, p_event uuid, p_at timestamptz) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    voided metering_usageevent[];
BEGIN
    PERFORM credits_lock(ARRAY[p_organization]);
    voided := metering_void(ARRAY[p_organization], ARRAY[p_event], p_at);
    IF voided <> '{}' THEN
        PERFORM metering_unrate(ARRAY[p_organization], ARRAY[p_event], p_at);
        PERFORM metering_roll_up('{}', voided, -1);
        PERFORM metering_count_budgets('{}', voided, p_at);
    END IF;
    RETURN voided <> '{}';
END
$$;
