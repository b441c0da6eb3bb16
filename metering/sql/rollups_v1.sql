-- The sums of events by hour, day and tag. Every row is a sum over live events and nothing else, so they can be added to,
-- taken from and rebuilt.
--
-- Rows are written in the order of their key, hours before days before tags: two writers never wait for each other in
-- a circle.

-- An event as it is reported: a row of metering_usageevent before it is stored, and what the ledger is told beside it.
CREATE TYPE metering_report AS (
    id uuid, organization_id uuid, occurred_at timestamptz, kind text, name text, source text, external_id text, member_id uuid,
    api_key_id uuid, model text, provider text, prompt_tokens bigint, completion_tokens bigint, cached_tokens bigint,
    cache_write_tokens bigint, reasoning_tokens bigint, quantity numeric(24, 6), provider_cost numeric(24, 12),
    markup numeric(24, 12), charge numeric(24, 12), byok_cost numeric(24, 12), is_free boolean, is_byok boolean,
    cost_source text, price_id uuid, tier_slug text, generation_id text, hold_id uuid, status text, latency_ms integer,
    tags jsonb, metadata jsonb, derivation jsonb, corrects_id uuid,
    content_hash uuid, actor text, limit_ids uuid[], limit_amount numeric(24, 12)
);

CREATE FUNCTION metering_day(moment timestamptz) RETURNS date LANGUAGE sql IMMUTABLE AS $$
    SELECT (moment AT TIME ZONE 'UTC')::date
$$;

-- Adds reported events to the sums and adds (`p_sign` 1) or takes out (-1) stored ones, in one step, so that the order of locks
-- is kept.
CREATE FUNCTION metering_roll_up(reported metering_report[], stored metering_usageevent[], p_sign integer) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    WITH signed AS (
        SELECT 1 AS sign, e.organization_id, e.occurred_at, e.member_id, e.api_key_id, e.kind, e.name, e.model, e.is_free,
               e.is_byok, e.status, e.prompt_tokens, e.completion_tokens, e.cached_tokens, e.cache_write_tokens,
               e.reasoning_tokens, e.quantity, e.provider_cost, e.markup, e.charge, e.byok_cost, e.latency_ms
        FROM unnest(reported) e
        UNION ALL
        SELECT p_sign, e.organization_id, e.occurred_at, e.member_id, e.api_key_id, e.kind, e.name, e.model, e.is_free,
               e.is_byok, e.status, e.prompt_tokens, e.completion_tokens, e.cached_tokens, e.cache_write_tokens,
               e.reasoning_tokens, e.quantity, e.provider_cost, e.markup, e.charge, e.byok_cost, e.latency_ms
        FROM unnest(stored) e
    ), hours AS MATERIALIZED (
        SELECT e.organization_id, date_trunc('hour', e.occurred_at, 'UTC') AS hour, e.member_id, e.api_key_id, e.kind,
               e.name, e.model, e.is_free, e.is_byok,
               sum(sign) AS events,
               sum(sign) FILTER (WHERE e.status = 'error') AS errors,
               sum(sign * e.prompt_tokens) AS prompt_tokens,
               sum(sign * e.completion_tokens) AS completion_tokens,
               sum(sign * e.cached_tokens) AS cached_tokens,
               sum(sign * e.cache_write_tokens) AS cache_write_tokens,
               sum(sign * e.reasoning_tokens) AS reasoning_tokens,
               sum(sign * e.quantity) AS quantity,
               sum(sign * e.provider_cost) AS provider_cost,
               sum(sign * e.markup) AS markup,
               sum(sign * e.charge) AS charge,
               sum(sign * e.byok_cost) AS byok_cost,
               sum(sign * e.latency_ms) AS latency_ms,
               sum(sign) FILTER (WHERE e.latency_ms IS NOT NULL) AS latency_count
        FROM signed e
        GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
    ), by_hour AS (
        INSERT INTO metering_usagehour AS u (
            organization_id, hour, member_id, api_key_id, kind, name, model, is_free, is_byok,
            events, errors, prompt_tokens, completion_tokens, cached_tokens, cache_write_tokens, reasoning_tokens,
            quantity, provider_cost, markup, charge, byok_cost, latency_ms, latency_count)
        SELECT organization_id, hour, member_id, api_key_id, kind, name, model, is_free, is_byok,
               h.events, coalesce(errors, 0), prompt_tokens, completion_tokens, cached_tokens, cache_write_tokens,
               reasoning_tokens, quantity, provider_cost, markup, charge, byok_cost, coalesce(latency_ms, 0),
               coalesce(latency_count, 0)
        FROM hours h
        ORDER BY 1, 2, 3, 4, 5, 6, 7, 8, 9
        ON CONFLICT (organization_id, hour, member_id, api_key_id, kind, name, model, is_free, is_byok) DO UPDATE SET
            events = u.events + excluded.events,
            errors = u.errors + excluded.errors,
            prompt_tokens = u.prompt_tokens + excluded.prompt_tokens,
            completion_tokens = u.completion_tokens + excluded.completion_tokens,
            cached_tokens = u.cached_tokens + excluded.cached_tokens,
            cache_write_tokens = u.cache_write_tokens + excluded.cache_write_tokens,
            reasoning_tokens = u.reasoning_tokens + excluded.reasoning_tokens,
            quantity = u.quantity + excluded.quantity,
            provider_cost = u.provider_cost + excluded.provider_cost,
            markup = u.markup + excluded.markup,
            charge = u.charge + excluded.charge,
            byok_cost = u.byok_cost + excluded.byok_cost,
            latency_ms = u.latency_ms + excluded.latency_ms,
            latency_count = u.latency_count + excluded.latency_count
    )
    INSERT INTO metering_usageday AS u (
        organization_id, day, member_id, api_key_id, kind, name, model, is_free, is_byok,
        events, errors, prompt_tokens, completion_tokens, cached_tokens, cache_write_tokens, reasoning_tokens,
        quantity, provider_cost, markup, charge, byok_cost, latency_ms, latency_count)
    SELECT organization_id, metering_day(hour), member_id, api_key_id, kind, name, model, is_free, is_byok,
           sum(h.events), coalesce(sum(errors), 0), sum(prompt_tokens), sum(completion_tokens), sum(cached_tokens),
           sum(cache_write_tokens), sum(reasoning_tokens), sum(quantity), sum(provider_cost), sum(markup),
           sum(charge), sum(byok_cost), coalesce(sum(latency_ms), 0), coalesce(sum(latency_count), 0)
    FROM hours h
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
    ORDER BY 1, 2, 3, 4, 5, 6, 7, 8, 9
    ON CONFLICT (organization_id, day, member_id, api_key_id, kind, name, model, is_free, is_byok) DO UPDATE SET
        events = u.events + excluded.events,
        errors = u.errors + excluded.errors,
        prompt_tokens = u.prompt_tokens + excluded.prompt_tokens,
        completion_tokens = u.completion_tokens + excluded.completion_tokens,
        cached_tokens = u.cached_tokens + excluded.cached_tokens,
        cache_write_tokens = u.cache_write_tokens + excluded.cache_write_tokens,
        reasoning_tokens = u.reasoning_tokens + excluded.reasoning_tokens,
        quantity = u.quantity + excluded.quantity,
        provider_cost = u.provider_cost + excluded.provider_cost,
        markup = u.markup + excluded.markup,
        charge = u.charge + excluded.charge,
        byok_cost = u.byok_cost + excluded.byok_cost,
        latency_ms = u.latency_ms + excluded.latency_ms,
        latency_count = u.latency_count + excluded.latency_count;

    IF EXISTS (SELECT 1 FROM unnest(reported) e WHERE e.tags <> '{}')
       OR EXISTS (SELECT 1 FROM unnest(stored) e WHERE e.tags <> '{}') THEN
        PERFORM metering_roll_up_tags(reported, stored, p_sign);
    END IF;
    IF p_sign < 0 AND stored <> '{}' THEN
        PERFORM metering_drop_empty(stored);
    END IF;
END
$$;

-- An event counts once under each of its tags.
CREATE FUNCTION metering_roll_up_tags(reported metering_report[], stored metering_usageevent[], p_sign integer) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO metering_usagetagday AS u (
        organization_id, day, tag_key, tag_value, events, prompt_tokens, completion_tokens, provider_cost, markup, charge)
    SELECT e.organization_id, metering_day(e.occurred_at), t.key, t.value, sum(sign), sum(sign * e.prompt_tokens),
           sum(sign * e.completion_tokens), sum(sign * e.provider_cost), sum(sign * e.markup), sum(sign * e.charge)
    FROM (SELECT 1 AS sign, e.organization_id, e.occurred_at, e.prompt_tokens, e.completion_tokens, e.provider_cost, e.markup,
                 e.charge, e.tags
          FROM unnest(reported) e
          UNION ALL
          SELECT p_sign, e.organization_id, e.occurred_at, e.prompt_tokens, e.completion_tokens, e.provider_cost, e.markup,
                 e.charge, e.tags
          FROM unnest(stored) e) e,
         jsonb_each_text(e.tags) t
    GROUP BY 1, 2, 3, 4
    ORDER BY 1, 2, 3, 4
    ON CONFLICT (organization_id, day, tag_key, tag_value) DO UPDATE SET
        events = u.events + excluded.events,
        prompt_tokens = u.prompt_tokens + excluded.prompt_tokens,
        completion_tokens = u.completion_tokens + excluded.completion_tokens,
        provider_cost = u.provider_cost + excluded.provider_cost,
        markup = u.markup + excluded.markup,
        charge = u.charge + excluded.charge
$$;

-- Rows that no event is left in. Their locks are held: only taking out can empty a row.
CREATE FUNCTION metering_drop_empty(removed metering_usageevent[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM metering_usagehour h USING unnest(removed) e
    WHERE h.organization_id = e.organization_id AND h.hour = date_trunc('hour', e.occurred_at, 'UTC') AND h.events = 0;
    DELETE FROM metering_usageday d USING unnest(removed) e
    WHERE d.organization_id = e.organization_id AND d.day = metering_day(e.occurred_at) AND d.events = 0;
    DELETE FROM metering_usagetagday t USING unnest(removed) e
    WHERE t.organization_id = e.organization_id AND t.day = metering_day(e.occurred_at) AND t.events = 0;
END
$$;

-- Makes the sums of one UTC day anew from its live events and answers how many those are. Writers wait meanwhile: no sum
-- moves between counting and storing, and an event that waits adds itself afterwards.
CREATE FUNCTION metering_rebuild(p_day date) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    starts timestamptz := p_day::timestamp AT TIME ZONE 'UTC';
    ends timestamptz := (p_day + 1)::timestamp AT TIME ZONE 'UTC';
    e metering_usageevent;
    batch metering_usageevent[] := '{}';
    counted bigint := 0;
BEGIN
    -- One lock for all three: whoever writes hours or tags has the lock of the days already, or waits for it.
    LOCK TABLE metering_usageday IN SHARE ROW EXCLUSIVE MODE;
    DELETE FROM metering_usagehour WHERE hour >= starts AND hour < ends;
    DELETE FROM metering_usageday WHERE day = p_day;
    DELETE FROM metering_usagetagday WHERE day = p_day;
    FOR e IN SELECT * FROM metering_usageevent x
             WHERE x.occurred_at >= starts AND x.occurred_at < ends AND x.voided_at IS NULL LOOP
        batch := batch || e;
        counted := counted + 1;
        IF counted % 10000 = 0 THEN
            PERFORM metering_roll_up('{}', batch, 1);
            batch := '{}';
        END IF;
    END LOOP;
    PERFORM metering_roll_up('{}', batch, 1);
    RETURN counted;
END
$$;
