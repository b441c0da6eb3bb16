-- Records a batch of usage events in the caller's transaction: each event is recorded whole (its id is taken, its charge
-- posted or its hold settled, the event stored, the sums moved) or leaves no trace.
--
-- p_events: array of rows of metering_usageevent; columns may be left out where `defaults` below knows the value.
-- p_hashes: one per event, what its external_id stands for; null when no event has an external_id.
-- p_settlements, p_charges: items of settle_holds and post_entries, each with `n`, the event's place from 1.
--
-- Answers a row for each event that moved money or was not recorded; all others were recorded.
-- status: recorded; duplicate (same external_id, same hash) and key_reused (other hash), both with the first event's id;
-- or the refusal of the ledger: insufficient, limit_exceeded, no_account, unknown_hold, hold_not_open.
--
-- Locks, always in this order: external ids (sorted), accounts (sorted), sums (sorted).
-- READ COMMITTED is assumed: what a conflicting writer committed while we waited is seen by the next statement.

CREATE FUNCTION record_usage(
    p_events jsonb, p_hashes uuid[], p_settlements jsonb, p_charges jsonb, p_at timestamptz)
RETURNS TABLE (ord integer, status text, event_id uuid, entry_id uuid, charged numeric, balance numeric, held numeric,
               available numeric, excess numeric)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    defaults metering_usageevent;
    events metering_usageevent[];
    accepted metering_usageevent[];
    refused text[] := '{}';   -- by place; null where the event is accepted
    first_ids uuid[] := '{}'; -- by place; the event that took the external_id before
    undone uuid[] := '{}';    -- events that the ledger refused after their external_id was taken
    known record;
    posted record;
BEGIN
    defaults := jsonb_populate_record(NULL::metering_usageevent, '{
        "name": "", "model": "", "provider": "", "tier_slug": "", "generation_id": "", "is_free": false, "is_byok": false,
        "prompt_tokens": 0, "completion_tokens": 0, "cached_tokens": 0, "cache_write_tokens": 0, "reasoning_tokens": 0,
        "quantity": 0, "provider_cost": 0, "markup": 0, "charge": 0, "byok_cost": 0, "status": "ok",
        "tags": {}, "metadata": {}, "derivation": {}}');
    defaults.received_at := p_at;
    SELECT array_agg(e) INTO events FROM jsonb_populate_recordset(defaults, p_events) e;

    FOR known IN SELECT * FROM metering_take_keys(events, p_hashes) LOOP
        refused[known.place] := CASE WHEN known.is_same THEN 'duplicate' ELSE 'key_reused' END;
        first_ids[known.place] := known.first_id;
    END LOOP;

    IF p_settlements <> '[]' OR p_charges <> '[]' THEN
        FOR posted IN SELECT * FROM metering_move_money(p_settlements, p_charges, refused, p_at) LOOP
            IF posted.status IN ('settled', 'posted') THEN
                events[posted.place].entry_id := posted.entry_id;
                status := 'recorded';
            ELSE
                refused[posted.place] := posted.status;
                undone := undone || events[posted.place].id;
                status := posted.status;
            END IF;
            ord := posted.place;
            event_id := events[posted.place].id;
            entry_id := posted.entry_id;
            charged := posted.charged;
            balance := posted.balance;
            held := posted.held;
            available := posted.available;
            excess := posted.excess;
            RETURN NEXT;
        END LOOP;
    END IF;
    IF undone <> '{}' THEN
        DELETE FROM metering_usagekey k USING unnest(events) e
        WHERE e.id = ANY (undone) AND k.organization_id = e.organization_id AND k.external_id = e.external_id
              AND k.event_id = e.id;
    END IF;

    IF refused = '{}' THEN
        accepted := events;
    ELSE
        accepted := '{}';
        entry_id := NULL; charged := NULL; balance := NULL; held := NULL; available := NULL; excess := NULL;
        FOR n IN 1 .. cardinality(events) LOOP
            IF refused[n] IS NULL THEN
                accepted := accepted || events[n];
            ELSIF first_ids[n] IS NOT NULL THEN
                ord := n;
                event_id := first_ids[n];
                status := refused[n];
                IF event_id = ANY (undone) THEN  -- the first of two equal events was refused just now: so is this one
                    status := refused[metering_place(events, event_id)];
                END IF;
                RETURN NEXT;
            END IF;
        END LOOP;
    END IF;
    IF accepted <> '{}' THEN
        INSERT INTO metering_usageevent SELECT e.* FROM unnest(accepted) e;
        PERFORM metering_roll_up(accepted, metering_void_replaced(accepted, p_at));
    END IF;
END
$$;

-- Events that replace others void them; answers those.
CREATE FUNCTION metering_void_replaced(events metering_usageevent[], p_at timestamptz) RETURNS metering_usageevent[]
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
        PERFORM metering_roll_up('{}', voided);
    END IF;
    RETURN voided <> '{}';
END
$$;

CREATE FUNCTION metering_place(events metering_usageevent[], event_id uuid) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
    SELECT e.ordinality::integer FROM unnest(events) WITH ORDINALITY AS e WHERE e.id = event_id
$$;

-- Takes the external ids of the events; answers the events whose id was taken before, also by one earlier in the batch.
CREATE FUNCTION metering_take_keys(events metering_usageevent[], hashes uuid[])
RETURNS TABLE (place integer, first_id uuid, is_same boolean) LANGUAGE plpgsql AS $$
DECLARE
    wanted bigint;
    taken uuid[];
BEGIN
    IF hashes IS NULL THEN
        RETURN;
    END IF;
    SELECT count(e.external_id) INTO wanted FROM unnest(events) e;
    WITH taking AS (
        INSERT INTO metering_usagekey (organization_id, external_id, event_id, occurred_at, content_hash)
        SELECT e.organization_id, e.external_id, e.id, e.occurred_at, hashes[e.ordinality]
        FROM unnest(events) WITH ORDINALITY AS e
        WHERE e.external_id IS NOT NULL
        ORDER BY e.organization_id, e.external_id, e.ordinality
        ON CONFLICT DO NOTHING
        RETURNING event_id
    )
    SELECT coalesce(array_agg(event_id), '{}') INTO taken FROM taking;
    IF cardinality(taken) < wanted THEN
        RETURN QUERY
        SELECT e.ordinality::integer, k.event_id, k.content_hash = hashes[e.ordinality]
        FROM unnest(events) WITH ORDINALITY AS e
        JOIN metering_usagekey k ON k.organization_id = e.organization_id AND k.external_id = e.external_id
        WHERE e.id NOT IN (SELECT unnest(taken));
    END IF;
END
$$;

-- Settles and charges what belongs to events that are not `refused`; answers by the event's place.
CREATE FUNCTION metering_move_money(p_settlements jsonb, p_charges jsonb, refused text[], p_at timestamptz)
RETURNS TABLE (place integer, status text, entry_id uuid, charged numeric, balance numeric, held numeric,
               available numeric, excess numeric)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    todo jsonb;
BEGIN
    IF p_settlements <> '[]' AND p_charges <> '[]' THEN  -- two calls, one order of locks
        PERFORM credits_lock(ARRAY(
            SELECT DISTINCT (i ->> 'account')::uuid FROM jsonb_array_elements(p_settlements || p_charges) i));
    END IF;
    IF p_settlements <> '[]' THEN
        -- somebody else's hold is as good as none, and so is a gateway call's for whoever is not the gateway
        SELECT jsonb_agg(jsonb_set(i, '{hold}', coalesce(to_jsonb(h.id), 'null')) ORDER BY o) INTO todo
        FROM jsonb_array_elements(p_settlements) WITH ORDINALITY AS t (i, o)
        LEFT JOIN credits_hold h ON h.id = (i ->> 'hold')::uuid AND h.account_id = (i ->> 'account')::uuid
                                AND (h.purpose = 'api' OR (i ->> 'is_gateway')::boolean)
        WHERE refused[(i ->> 'n')::integer] IS NULL;
        RETURN QUERY
        SELECT (todo -> (s.ord - 1) ->> 'n')::integer,
               CASE WHEN s.status IN ('settled', 'unknown_hold') THEN s.status ELSE 'hold_not_open' END,
               s.entry_id, s.charged, s.balance, s.held, s.available, s.excess
        FROM settle_holds(todo, p_at) s
        WHERE todo IS NOT NULL;
    END IF;
    IF p_charges <> '[]' THEN
        todo := p_charges;
        IF refused <> '{}' THEN
            SELECT jsonb_agg(i ORDER BY o) INTO todo FROM jsonb_array_elements(p_charges) WITH ORDINALITY AS t (i, o)
            WHERE refused[(i ->> 'n')::integer] IS NULL;
        END IF;
        RETURN QUERY
        SELECT (todo -> (p.ord - 1) ->> 'n')::integer, p.status, p.entry_id,
               CASE p.status WHEN 'posted' THEN (todo -> (p.ord - 1) ->> 'amount')::numeric END,
               p.balance, p.held, p.available, 0::numeric
        FROM post_entries(todo, p_at) p
        WHERE todo IS NOT NULL;
    END IF;
END
$$;
