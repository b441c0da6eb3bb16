-- Records a batch of usage events in the caller's transaction: each event is recorded whole (its id is taken, its charge
-- posted or its hold settled, the event stored, the sums moved) or leaves no trace.
--
-- p_events: array of rows of metering_usageevent; columns may be left out where `defaults` below knows the value. Beside
-- them, for each event: content_hash, what its external_id stands for; actor, limit_ids and limit_amount for the ledger.
--
-- Answers a row for each event that moved money or was not recorded; all others were recorded.
-- status: recorded; duplicate (same external_id, same hash) and key_reused (other hash), both with the first event's id;
-- or the refusal of the ledger: insufficient, limit_exceeded, no_account, unknown_hold, hold_not_open.
--
-- Locks, always in this order: external ids (sorted), accounts (sorted), sums (sorted).
-- READ COMMITTED is assumed: what a conflicting writer committed while we waited is seen by the next statement.

-- How the ledger answered an event; `place` counts from 1.
CREATE TYPE metering_answer AS (
    place integer, event_id uuid, status text, entry_id uuid, charged numeric, balance numeric, held numeric,
    available numeric, excess numeric
);

CREATE FUNCTION record_usage(p_events jsonb, p_at timestamptz)
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
    all_moved boolean;
    known record;
    n integer;
BEGIN
    defaults := jsonb_populate_record(NULL::metering_report, '{
        "name": "", "model": "", "provider": "", "tier_slug": "", "generation_id": "", "is_free": false, "is_byok": false,
        "prompt_tokens": 0, "completion_tokens": 0, "cached_tokens": 0, "cache_write_tokens": 0, "reasoning_tokens": 0,
        "quantity": 0, "provider_cost": 0, "markup": 0, "charge": 0, "byok_cost": 0, "status": "ok",
        "tags": {}, "metadata": {}, "derivation": {}, "actor": "", "limit_ids": []}');
    SELECT array_agg(e), count(e.external_id), bool_or(e.charge > 0 OR e.hold_id IS NOT NULL)
    INTO events, named, costly
    FROM jsonb_populate_recordset(defaults, p_events) e;

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
CREATE FUNCTION metering_store(events metering_report[], refused text[], seed text, p_at timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO metering_usageevent (
        id, organization_id, occurred_at, received_at, kind, name, source, external_id, member_id, api_key_id, model, provider,
        prompt_tokens, completion_tokens, cached_tokens, cache_write_tokens, reasoning_tokens, quantity, provider_cost, markup,
        charge, byok_cost, is_free, is_byok, cost_source, price_id, tier_slug, generation_id, hold_id, status, latency_ms,
        tags, metadata, derivation, corrects_id, entry_id)
    SELECT e.id, e.organization_id, e.occurred_at, p_at, e.kind, e.name, e.source, e.external_id, e.member_id,
           e.api_key_id, e.model, e.provider, e.prompt_tokens, e.completion_tokens, e.cached_tokens, e.cache_write_tokens,
           e.reasoning_tokens, e.quantity, e.provider_cost, e.markup, e.charge, e.byok_cost, e.is_free, e.is_byok,
           e.cost_source, e.price_id, e.tier_slug, e.generation_id, e.hold_id, e.status, e.latency_ms, e.tags, e.metadata,
           e.derivation, e.corrects_id, CASE WHEN e.charge > 0 THEN farebox_uuid7_of(seed, e.ordinality::integer) END
    FROM unnest(events) WITH ORDINALITY AS e
    WHERE refused = '{}' OR refused[e.ordinality] IS NULL;
END
$$;

-- Events that replace others void them; answers those.
CREATE FUNCTION metering_void_replaced(events metering_report[], p_at timestamptz) RETURNS metering_usageevent[]
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM unnest(events) e WHERE e.corrects_id IS NOT NULL) THEN
        RETURN '{}';
    END IF;
    RETURN metering_void(ARRAY(SELECT e.organization_id FROM unnest(events) e WHERE e.corrects_id IS NOT NULL),
                         ARRAY(SELECT e.corrects_id FROM unnest(events) e WHERE e.corrects_id IS NOT NULL), p_at);
END
$$;

-- Marks live events as void, by organization and id, and answers them.
CREATE FUNCTION metering_void(organizations uuid[], ids uuid[], p_at timestamptz) RETURNS metering_usageevent[]
LANGUAGE sql AS $$
    WITH voided AS (
        UPDATE metering_usageevent e SET voided_at = p_at
        FROM unnest(organizations, ids) AS t (organization_id, id)
        WHERE e.organization_id = t.organization_id AND e.id = t.id AND e.voided_at IS NULL
        RETURNING e
    )
    SELECT coalesce(array_agg(voided.e), '{}') FROM voided
$$;

-- Takes one event out of the sums for good. False when it does not exist or is void already.
CREATE FUNCTION void_usage(p_organization uuid, p_event uuid, p_at timestamptz) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    voided metering_usageevent[] := metering_void(ARRAY[p_organization], ARRAY[p_event], p_at);
BEGIN
    IF voided <> '{}' THEN
        PERFORM metering_roll_up('{}', voided, -1);
    END IF;
    RETURN voided <> '{}';
END
$$;

-- Takes the external ids of the events (`named` have one); answers the events whose id was taken before, also by one earlier
-- in the batch.
CREATE FUNCTION metering_take_keys(events metering_report[], named bigint)
RETURNS TABLE (place integer, first_id uuid, is_same boolean) LANGUAGE plpgsql AS $$
DECLARE
    taken uuid[];
BEGIN
    WITH taking AS (
        INSERT INTO metering_usagekey (organization_id, external_id, event_id, occurred_at, content_hash)
        SELECT e.organization_id, e.external_id, e.id, e.occurred_at, e.content_hash
        FROM unnest(events) WITH ORDINALITY AS e
        WHERE e.external_id IS NOT NULL
        ORDER BY e.organization_id, e.external_id, e.ordinality
        ON CONFLICT DO NOTHING
        RETURNING event_id
    )
    SELECT coalesce(array_agg(event_id), '{}') INTO taken FROM taking;
    IF cardinality(taken) < named THEN
        RETURN QUERY
        SELECT e.ordinality::integer, k.event_id, k.content_hash = e.content_hash
        FROM unnest(events) WITH ORDINALITY AS e
        JOIN metering_usagekey k ON k.organization_id = e.organization_id AND k.external_id = e.external_id
        WHERE e.id NOT IN (SELECT unnest(taken));
    END IF;
END
$$;

-- Settles and charges what belongs to events that are not `refused`; an entry's id is the one of the event's place.
CREATE FUNCTION metering_move_money(events metering_report[], refused text[], seed text, p_at timestamptz)
RETURNS SETOF metering_answer LANGUAGE plpgsql AS $$
DECLARE
    charges credits_item[];
    endings credits_ending[];
BEGIN
    SELECT array_agg(ROW(e.ordinality, farebox_uuid7_of(seed, e.ordinality::integer), e.organization_id, 'spend', 'charge',
                         e.charge, 'event:' || e.id, '', metering_reason(e.name, e.model, e.kind), left(e.actor, 120), e.id,
                         true, e.limit_ids)::credits_item)
               FILTER (WHERE e.hold_id IS NULL),
           -- somebody else's hold is as good as none, and so is a gateway call's for whoever is not the gateway
           array_agg(ROW(e.ordinality, farebox_uuid7_of(seed, e.ordinality::integer), e.hold_id, e.charge, e.limit_amount, e.id,
                         metering_reason(e.name, e.model, e.kind), left(e.actor, 120), e.organization_id,
                         e.source <> 'gateway')::credits_ending)
               FILTER (WHERE e.hold_id IS NOT NULL)
    INTO charges, endings
    FROM unnest(events) WITH ORDINALITY AS e
    WHERE (e.hold_id IS NOT NULL OR e.charge > 0) AND (refused = '{}' OR refused[e.ordinality] IS NULL);
    IF charges IS NOT NULL AND endings IS NOT NULL THEN  -- two calls, one order of locks
        PERFORM credits_lock(ARRAY(
            SELECT c.account FROM unnest(charges) c UNION SELECT e.account FROM unnest(endings) e));
    END IF;
    IF endings IS NOT NULL THEN
        RETURN QUERY
        SELECT s.ord, e.event, CASE s.status WHEN 'settled' THEN 'recorded' WHEN 'unknown_hold' THEN s.status
                                             ELSE 'hold_not_open' END,
               s.entry_id, s.charged, s.balance, s.held, s.available, s.excess
        FROM credits_end(endings, p_at, 'settled') s JOIN unnest(endings) e ON e.ord = s.ord;
    END IF;
    IF charges IS NOT NULL THEN
        RETURN QUERY
        SELECT p.ord, c.event, CASE p.status WHEN 'posted' THEN 'recorded' ELSE p.status END, p.entry_id,
               CASE p.status WHEN 'posted' THEN c.amount END, p.balance, p.held, p.available, 0::numeric
        FROM credits_post(charges, NULL, p_at) p JOIN unnest(charges) c ON c.ord = p.ord;
    END IF;
END
$$;

-- What the ledger says of an event's charge.
CREATE FUNCTION metering_reason(name text, model text, kind text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT 'Usage: ' || coalesce(nullif(name, ''), nullif(model, ''), kind)
$$;
