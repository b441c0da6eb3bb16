-- The second record_usage: events of an organization's customers are stored with them, and counted in the period in which
-- they are received (customers_v1.sql); what replaces another event was received with it. Otherwise as before; see
-- record_usage_v1.sql.
--
-- Locks: the organization's cutoff (shared), external ids (sorted), accounts (sorted), sums (sorted).

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
           bool_or(e.external_customer_id IS NOT NULL OR e.customer_id IS NOT NULL)
    INTO events, named, costly, of_customers
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

    IF costly THEN
        SELECT array_agg(m), bool_and(m.status = 'recorded') INTO answers, all_moved
        FROM metering_move_money(events, refused, seed, p_at) m;
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
        PERFORM metering_roll_up(accepted, metering_void_replaced(accepted, p_at), -1);
    END IF;
END
$$;

-- Stores the events that are not refused. The entry of a charge has the id that its place gives it.
CREATE OR REPLACE FUNCTION metering_store(events metering_report[], refused text[], seed text, p_at timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO metering_usageevent (
        id, organization_id, occurred_at, received_at, kind, name, source, external_id, member_id, api_key_id, model, provider,
        prompt_tokens, completion_tokens, cached_tokens, cache_write_tokens, reasoning_tokens, quantity, provider_cost, markup,
        charge, byok_cost, is_free, is_byok, cost_source, price_id, tier_slug, generation_id, hold_id, status, latency_ms,
        tags, metadata, derivation, corrects_id, entry_id, customer_id,
        external_customer_id, parent_id)
    SELECT e.id, e.organization_id, e.occurred_at, coalesce(e.received_at, p_at), e.kind, e.name, e.source, e.external_id, e.member_id,
           e.api_key_id, e.model, e.provider, e.prompt_tokens, e.completion_tokens, e.cached_tokens, e.cache_write_tokens,
           e.reasoning_tokens, e.quantity, e.provider_cost, e.markup, e.charge, e.byok_cost, e.is_free, e.is_byok,
           e.cost_source, e.price_id, e.tier_slug, e.generation_id, e.hold_id, e.status, e.latency_ms, e.tags, e.metadata,
           e.derivation, e.corrects_id, CASE WHEN e.charge > 0 THEN farebox_uuid7_of(seed, e.ordinality::integer) END,
           e.customer_id, e.external_customer_id, e.parent_id
    FROM unnest(events) WITH ORDINALITY AS e
    WHERE refused = '{}' OR refused[e.ordinality] IS NULL;
END
$$;
