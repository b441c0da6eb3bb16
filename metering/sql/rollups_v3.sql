-- The third metering_roll_up: usage by tag is also summed by day and tag alone (metering_usagetagtotal), which is what pages of
-- tags read: one row where the sums with every dimension have one for each key and model. And one tagged event that comes
-- alone is added by a plain statement, as its hour and day are. Otherwise as in rollups_v2.sql.
--
-- Both sums by tag are written by one statement, in the same order everywhere: those by tag alone before the others.
--
-- `hours` says in which hours (UTC) of its day events of a tag lie, a bit for each, the lowest for the first: where to look for
-- them. An hour whose events were all taken back keeps its bit.

CREATE FUNCTION metering_hour_bit(moment timestamptz) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
    SELECT 1 << extract(hour FROM moment AT TIME ZONE 'UTC')::integer
$$;

CREATE OR REPLACE FUNCTION metering_roll_up(reported metering_report[], stored metering_usageevent[], p_sign integer) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF cardinality(reported) = 1 AND stored = '{}' THEN
        PERFORM metering_count_one(reported[1]);
        IF reported[1].tags <> '{}' THEN
            PERFORM metering_count_tags_of_one(reported[1]);
        END IF;
        RETURN;
    END IF;
    WITH signed AS (
        SELECT 1 AS sign, e.organization_id, e.occurred_at, e.member_id, e.api_key_id, e.team_id, e.kind, e.name, e.model, e.is_free,
               e.is_byok, e.status, e.prompt_tokens, e.completion_tokens, e.cached_tokens, e.cache_write_tokens,
               e.reasoning_tokens, e.quantity, e.provider_cost, e.markup, e.charge, e.byok_cost, e.latency_ms
        FROM unnest(reported) e
        UNION ALL
        SELECT p_sign, e.organization_id, e.occurred_at, e.member_id, e.api_key_id, e.team_id, e.kind, e.name, e.model, e.is_free,
               e.is_byok, e.status, e.prompt_tokens, e.completion_tokens, e.cached_tokens, e.cache_write_tokens,
               e.reasoning_tokens, e.quantity, e.provider_cost, e.markup, e.charge, e.byok_cost, e.latency_ms
        FROM unnest(stored) e
    ), hours AS MATERIALIZED (
        SELECT e.organization_id, date_trunc('hour', e.occurred_at, 'UTC') AS hour, e.member_id, e.api_key_id, e.team_id, e.kind,
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
        GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
    ), by_hour AS (
        INSERT INTO metering_usagehour AS u (
            organization_id, hour, member_id, api_key_id, team_id, kind, name, model, is_free, is_byok,
            events, errors, prompt_tokens, completion_tokens, cached_tokens, cache_write_tokens, reasoning_tokens,
            quantity, provider_cost, markup, charge, byok_cost, latency_ms, latency_count)
        SELECT organization_id, hour, member_id, api_key_id, team_id, kind, name, model, is_free, is_byok,
               h.events, coalesce(errors, 0), prompt_tokens, completion_tokens, cached_tokens, cache_write_tokens,
               reasoning_tokens, quantity, provider_cost, markup, charge, byok_cost, coalesce(latency_ms, 0),
               coalesce(latency_count, 0)
        FROM hours h
        ORDER BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
        ON CONFLICT (organization_id, hour, member_id, api_key_id, team_id, kind, name, model, is_free, is_byok) DO UPDATE SET
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
        organization_id, day, member_id, api_key_id, team_id, kind, name, model, is_free, is_byok,
        events, errors, prompt_tokens, completion_tokens, cached_tokens, cache_write_tokens, reasoning_tokens,
        quantity, provider_cost, markup, charge, byok_cost, latency_ms, latency_count)
    SELECT organization_id, metering_day(hour), member_id, api_key_id, team_id, kind, name, model, is_free, is_byok,
           sum(h.events), coalesce(sum(errors), 0), sum(prompt_tokens), sum(completion_tokens), sum(cached_tokens),
           sum(cache_write_tokens), sum(reasoning_tokens), sum(quantity), sum(provider_cost), sum(markup),
           sum(charge), sum(byok_cost), coalesce(sum(latency_ms), 0), coalesce(sum(latency_count), 0)
    FROM hours h
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
    ORDER BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
    ON CONFLICT (organization_id, day, member_id, api_key_id, team_id, kind, name, model, is_free, is_byok) DO UPDATE SET
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
CREATE FUNCTION metering_count_tags_of_one(e metering_report) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    WITH of_all AS (
        INSERT INTO metering_usagetagday AS u (
            organization_id, day, tag_key, tag_value, member_id, api_key_id, team_id, kind, name, model, is_free, is_byok,
            events, errors, prompt_tokens, completion_tokens, cached_tokens, cache_write_tokens, reasoning_tokens,
            quantity, provider_cost, markup, charge, byok_cost, latency_ms, latency_count)
        SELECT e.organization_id, metering_day(e.occurred_at), t.key, t.value, e.member_id, e.api_key_id, e.team_id, e.kind, e.name,
               e.model, e.is_free, e.is_byok,
               1, (e.status = 'error')::integer, e.prompt_tokens, e.completion_tokens, e.cached_tokens, e.cache_write_tokens,
               e.reasoning_tokens, e.quantity, e.provider_cost, e.markup, e.charge, e.byok_cost, coalesce(e.latency_ms, 0),
               (e.latency_ms IS NOT NULL)::integer
        FROM jsonb_each_text(e.tags) t
        ORDER BY t.key
        ON CONFLICT (organization_id, day, tag_key, tag_value, member_id, api_key_id, team_id, kind, name, model, is_free, is_byok)
        DO UPDATE SET
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
    INSERT INTO metering_usagetagtotal AS u (
        organization_id, day, tag_key, tag_value, hours,
        events, errors, prompt_tokens, completion_tokens, cached_tokens, cache_write_tokens, reasoning_tokens,
        quantity, provider_cost, markup, charge, byok_cost, latency_ms, latency_count)
    SELECT e.organization_id, metering_day(e.occurred_at), t.key, t.value, metering_hour_bit(e.occurred_at),
           1, (e.status = 'error')::integer, e.prompt_tokens, e.completion_tokens, e.cached_tokens, e.cache_write_tokens,
           e.reasoning_tokens, e.quantity, e.provider_cost, e.markup, e.charge, e.byok_cost, coalesce(e.latency_ms, 0),
           (e.latency_ms IS NOT NULL)::integer
    FROM jsonb_each_text(e.tags) t
    ORDER BY t.key
    ON CONFLICT (organization_id, day, tag_key, tag_value) DO UPDATE SET
        hours = u.hours | excluded.hours,
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
END
$$;

CREATE OR REPLACE FUNCTION metering_roll_up_tags(reported metering_report[], stored metering_usageevent[], p_sign integer)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    WITH parts AS MATERIALIZED (
        SELECT e.organization_id, metering_day(e.occurred_at) AS day, t.key AS tag_key, t.value AS tag_value, e.member_id,
               e.api_key_id, e.team_id, e.kind, e.name, e.model, e.is_free, e.is_byok,
               bit_or(metering_hour_bit(e.occurred_at)) AS hours,
               sum(sign) AS events,
               sum(sign * (e.status = 'error')::integer) AS errors,
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
               sum(sign * coalesce(e.latency_ms, 0)) AS latency_ms,
               sum(sign * (e.latency_ms IS NOT NULL)::integer) AS latency_count
        FROM (SELECT 1 AS sign, e.organization_id, e.occurred_at, e.member_id, e.api_key_id, e.team_id, e.kind, e.name, e.model,
                     e.is_free, e.is_byok, e.status, e.prompt_tokens, e.completion_tokens, e.cached_tokens, e.cache_write_tokens,
                     e.reasoning_tokens, e.quantity, e.provider_cost, e.markup, e.charge, e.byok_cost, e.latency_ms, e.tags
              FROM unnest(reported) e
              UNION ALL
              SELECT p_sign, e.organization_id, e.occurred_at, e.member_id, e.api_key_id, e.team_id, e.kind, e.name, e.model,
                     e.is_free, e.is_byok, e.status, e.prompt_tokens, e.completion_tokens, e.cached_tokens, e.cache_write_tokens,
                     e.reasoning_tokens, e.quantity, e.provider_cost, e.markup, e.charge, e.byok_cost, e.latency_ms, e.tags
              FROM unnest(stored) e) e,
             jsonb_each_text(e.tags) t
        GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12
    ), of_all AS (
        INSERT INTO metering_usagetagday AS u (
            organization_id, day, tag_key, tag_value, member_id, api_key_id, team_id, kind, name, model, is_free, is_byok,
            events, errors, prompt_tokens, completion_tokens, cached_tokens, cache_write_tokens, reasoning_tokens,
            quantity, provider_cost, markup, charge, byok_cost, latency_ms, latency_count)
        SELECT organization_id, day, tag_key, tag_value, member_id, api_key_id, team_id, kind, name, model, is_free, is_byok,
               events, errors, prompt_tokens, completion_tokens, cached_tokens, cache_write_tokens, reasoning_tokens,
               quantity, provider_cost, markup, charge, byok_cost, latency_ms, latency_count
        FROM parts
        ORDER BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12
        ON CONFLICT (organization_id, day, tag_key, tag_value, member_id, api_key_id, team_id, kind, name, model, is_free, is_byok)
        DO UPDATE SET
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
    INSERT INTO metering_usagetagtotal AS u (
        organization_id, day, tag_key, tag_value, hours,
        events, errors, prompt_tokens, completion_tokens, cached_tokens, cache_write_tokens, reasoning_tokens,
        quantity, provider_cost, markup, charge, byok_cost, latency_ms, latency_count)
    SELECT organization_id, day, tag_key, tag_value, bit_or(p.hours),
           sum(p.events), sum(p.errors), sum(p.prompt_tokens), sum(p.completion_tokens), sum(p.cached_tokens),
           sum(p.cache_write_tokens), sum(p.reasoning_tokens), sum(p.quantity), sum(p.provider_cost),
           sum(p.markup), sum(p.charge), sum(p.byok_cost), sum(p.latency_ms), sum(p.latency_count)
    FROM parts p
    GROUP BY 1, 2, 3, 4
    ORDER BY 1, 2, 3, 4
    ON CONFLICT (organization_id, day, tag_key, tag_value) DO UPDATE SET
        hours = u.hours | excluded.hours,
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
END
$$;

-- Rows that no event is left in. Their locks are held: only taking out can empty a row.
CREATE OR REPLACE FUNCTION metering_drop_empty(removed metering_usageevent[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM metering_usagehour h USING unnest(removed) e
    WHERE h.organization_id = e.organization_id AND h.hour = date_trunc('hour', e.occurred_at, 'UTC') AND h.events = 0;
    DELETE FROM metering_usageday d USING unnest(removed) e
    WHERE d.organization_id = e.organization_id AND d.day = metering_day(e.occurred_at) AND d.events = 0;
    DELETE FROM metering_usagetagday t USING unnest(removed) e
    WHERE t.organization_id = e.organization_id AND t.day = metering_day(e.occurred_at) AND t.events = 0;
    DELETE FROM metering_usagetagtotal t USING unnest(removed) e
    WHERE t.organization_id = e.organization_id AND t.day = metering_day(e.occurred_at) AND t.events = 0;
END
$$;

-- Makes the sums of one UTC day anew from its live events and answers how many those are. Writers wait meanwhile: no sum
-- moves between counting and storing, and an event that waits adds itself afterwards.
CREATE OR REPLACE FUNCTION metering_rebuild(p_day date) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    starts timestamptz := p_day::timestamp AT TIME ZONE 'UTC';
    ends timestamptz := (p_day + 1)::timestamp AT TIME ZONE 'UTC';
    e metering_usageevent;
    batch metering_usageevent[] := '{}';
    counted bigint := 0;
BEGIN
    -- One lock for all of them: whoever writes hours or tags has the lock of the days already, or waits for it.
    LOCK TABLE metering_usageday IN SHARE ROW EXCLUSIVE MODE;
    DELETE FROM metering_usagehour WHERE hour >= starts AND hour < ends;
    DELETE FROM metering_usageday WHERE day = p_day;
    DELETE FROM metering_usagetagtotal WHERE day = p_day;
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

-- Gives the sums by tag alone of some UTC days [p_first, p_after) of an organization what they lack of the sums with every
-- dimension. One statement, hence one moment of the books: what is recorded meanwhile adds itself to both. Safe to run again,
-- and beside writers.
CREATE FUNCTION metering_total_tags(p_organization uuid, p_first date, p_after date) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO metering_usagetagtotal AS u (
        organization_id, day, tag_key, tag_value, hours,
        events, errors, prompt_tokens, completion_tokens, cached_tokens, cache_write_tokens, reasoning_tokens,
        quantity, provider_cost, markup, charge, byok_cost, latency_ms, latency_count)
    SELECT p_organization, day, tag_key, tag_value, (1 << 24) - 1,
           sum(p.events), sum(p.errors), sum(p.prompt_tokens), sum(p.completion_tokens), sum(p.cached_tokens),
           sum(p.cache_write_tokens), sum(p.reasoning_tokens), sum(p.quantity), sum(p.provider_cost),
           sum(p.markup), sum(p.charge), sum(p.byok_cost), sum(p.latency_ms), sum(p.latency_count)
    FROM (
        SELECT day, tag_key, tag_value, events, errors, prompt_tokens, completion_tokens, cached_tokens,
               cache_write_tokens, reasoning_tokens, quantity, provider_cost, markup, charge, byok_cost, latency_ms, latency_count
        FROM metering_usagetagday WHERE organization_id = p_organization AND day >= p_first AND day < p_after
        UNION ALL
        SELECT day, tag_key, tag_value, -events, -errors, -prompt_tokens, -completion_tokens, -cached_tokens,
               -cache_write_tokens, -reasoning_tokens, -quantity, -provider_cost, -markup, -charge, -byok_cost, -latency_ms,
               -latency_count
        FROM metering_usagetagtotal WHERE organization_id = p_organization AND day >= p_first AND day < p_after
    ) p
    GROUP BY 1, 2, 3, 4
    HAVING (sum(events), sum(errors), sum(charge), sum(markup), sum(prompt_tokens + completion_tokens), sum(latency_count))
           IS DISTINCT FROM (0, 0, 0, 0, 0, 0)
    ORDER BY 1, 2, 3, 4
    ON CONFLICT (organization_id, day, tag_key, tag_value) DO UPDATE SET
        hours = u.hours | excluded.hours,
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
    DELETE FROM metering_usagetagtotal
    WHERE organization_id = p_organization AND day >= p_first AND day < p_after AND events = 0;
END
$$;

-- Sums by tag from before they had dimensions get theirs, as in teams_v1.sql; those by tag alone get what the old ones lack.
CREATE OR REPLACE FUNCTION metering_complete_tags(p_day date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    starts timestamptz := p_day::timestamp AT TIME ZONE 'UTC';
    ends timestamptz := (p_day + 1)::timestamp AT TIME ZONE 'UTC';
BEGIN
    WITH parts AS MATERIALIZED (
        SELECT e.organization_id, t.key AS tag_key, t.value AS tag_value, e.member_id, e.api_key_id, e.team_id, e.kind, e.name,
               e.model, e.is_free, e.is_byok,
               1 AS events,
               (e.status = 'error')::integer AS errors,
               e.prompt_tokens AS prompt_tokens,
               e.completion_tokens AS completion_tokens,
               e.cached_tokens AS cached_tokens,
               e.cache_write_tokens AS cache_write_tokens,
               e.reasoning_tokens AS reasoning_tokens,
               e.quantity AS quantity,
               e.provider_cost AS provider_cost,
               e.markup AS markup,
               e.charge AS charge,
               e.byok_cost AS byok_cost,
               coalesce(e.latency_ms, 0) AS latency_ms,
               (e.latency_ms IS NOT NULL)::integer AS latency_count
        FROM metering_usageevent e, jsonb_each_text(e.tags) t
        WHERE e.occurred_at >= starts AND e.occurred_at < ends AND e.voided_at IS NULL AND e.tags <> '{}'
        UNION ALL
        SELECT d.organization_id, d.tag_key, d.tag_value, d.member_id, d.api_key_id, d.team_id, d.kind, d.name, d.model,
               d.is_free, d.is_byok, -d.events, -d.errors, -d.prompt_tokens,
               -d.completion_tokens, -d.cached_tokens, -d.cache_write_tokens, -d.reasoning_tokens, -d.quantity,
               -d.provider_cost, -d.markup, -d.charge, -d.byok_cost, -d.latency_ms, -d.latency_count
        FROM metering_usagetagday d WHERE d.day = p_day AND d.kind <> ''
    ), gone AS (
        DELETE FROM metering_usagetagday d WHERE d.day = p_day AND d.kind = ''
    ), of_all AS (
        INSERT INTO metering_usagetagday AS u (
            organization_id, day, tag_key, tag_value, member_id, api_key_id, team_id, kind, name, model, is_free, is_byok,
            events, errors, prompt_tokens, completion_tokens, cached_tokens, cache_write_tokens, reasoning_tokens,
            quantity, provider_cost, markup, charge, byok_cost, latency_ms, latency_count)
        SELECT organization_id, p_day, tag_key, tag_value, member_id, api_key_id, team_id, kind, name, model, is_free, is_byok,
               sum(events), sum(errors), sum(prompt_tokens), sum(completion_tokens), sum(cached_tokens),
               sum(cache_write_tokens), sum(reasoning_tokens), sum(quantity), sum(provider_cost), sum(markup),
               sum(charge), sum(byok_cost), sum(latency_ms), sum(latency_count)
        FROM parts
        GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12
        HAVING sum(events) <> 0
        ORDER BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12
        ON CONFLICT (organization_id, day, tag_key, tag_value, member_id, api_key_id, team_id, kind, name, model, is_free, is_byok)
        DO UPDATE SET
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
    INSERT INTO metering_usagetagtotal AS u (
        organization_id, day, tag_key, tag_value, hours,
        events, errors, prompt_tokens, completion_tokens, cached_tokens, cache_write_tokens, reasoning_tokens,
        quantity, provider_cost, markup, charge, byok_cost, latency_ms, latency_count)
    SELECT organization_id, p_day, tag_key, tag_value, (1 << 24) - 1,
           sum(p.events), sum(p.errors), sum(p.prompt_tokens), sum(p.completion_tokens), sum(p.cached_tokens),
           sum(p.cache_write_tokens), sum(p.reasoning_tokens), sum(p.quantity), sum(p.provider_cost),
           sum(p.markup), sum(p.charge), sum(p.byok_cost), sum(p.latency_ms), sum(p.latency_count)
    FROM (
        SELECT organization_id, tag_key, tag_value, events, errors, prompt_tokens, completion_tokens, cached_tokens,
               cache_write_tokens, reasoning_tokens, quantity, provider_cost, markup, charge, byok_cost, latency_ms, latency_count
        FROM parts
        UNION ALL
        SELECT organization_id, tag_key, tag_value, -events, -errors, -prompt_tokens, -completion_tokens, -cached_tokens,
               -cache_write_tokens, -reasoning_tokens, -quantity, -provider_cost, -markup, -charge, -byok_cost, -latency_ms,
               -latency_count
        FROM metering_usagetagday WHERE day = p_day AND kind = ''
    ) p
    GROUP BY 1, 2, 3, 4
    ORDER BY 1, 2, 3, 4
    ON CONFLICT (organization_id, day, tag_key, tag_value) DO UPDATE SET
        hours = u.hours | excluded.hours,
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
    DELETE FROM metering_usagetagtotal WHERE day = p_day AND events = 0;
    DELETE FROM metering_usagetagday WHERE day = p_day AND events = 0;
END
$$;
