-- The second metering_roll_up: sums have the team that the use counts for, and those by tag have every dimension and figure of
-- the others. One event that comes alone, the usual case of a process with little to do, is added to its hour and its day by a
-- plain statement, which costs much less than the one that groups any number. Otherwise as in rollups_v1.sql.

-- One statement for both, so that it has the locks of both tables before that of any row, in the order of the other way.
CREATE FUNCTION metering_count_one(e metering_report) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    WITH by_hour AS (
        INSERT INTO metering_usagehour AS u (
            organization_id, hour, member_id, api_key_id, team_id, kind, name, model, is_free, is_byok,
            events, errors, prompt_tokens, completion_tokens, cached_tokens, cache_write_tokens, reasoning_tokens,
            quantity, provider_cost, markup, charge, byok_cost, latency_ms, latency_count)
        VALUES (
            e.organization_id, date_trunc('hour', e.occurred_at, 'UTC'), e.member_id, e.api_key_id, e.team_id, e.kind, e.name, e.model,
            e.is_free, e.is_byok,
            1, (e.status = 'error')::integer, e.prompt_tokens, e.completion_tokens, e.cached_tokens, e.cache_write_tokens,
            e.reasoning_tokens, e.quantity, e.provider_cost, e.markup, e.charge, e.byok_cost, coalesce(e.latency_ms, 0),
            (e.latency_ms IS NOT NULL)::integer)
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
    VALUES (
        e.organization_id, metering_day(e.occurred_at), e.member_id, e.api_key_id, e.team_id, e.kind, e.name, e.model,
        e.is_free, e.is_byok,
        1, (e.status = 'error')::integer, e.prompt_tokens, e.completion_tokens, e.cached_tokens, e.cache_write_tokens,
        e.reasoning_tokens, e.quantity, e.provider_cost, e.markup, e.charge, e.byok_cost, coalesce(e.latency_ms, 0),
        (e.latency_ms IS NOT NULL)::integer)
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
END
$$;

CREATE OR REPLACE FUNCTION metering_roll_up(reported metering_report[], stored metering_usageevent[], p_sign integer) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF cardinality(reported) = 1 AND stored = '{}' THEN
        PERFORM metering_count_one(reported[1]);
        IF reported[1].tags <> '{}' THEN
            PERFORM metering_roll_up_tags(reported, stored, p_sign);
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
CREATE OR REPLACE FUNCTION metering_roll_up_tags(reported metering_report[], stored metering_usageevent[], p_sign integer)
RETURNS void LANGUAGE sql AS $$
    INSERT INTO metering_usagetagday AS u (
        organization_id, day, tag_key, tag_value, member_id, api_key_id, team_id, kind, name, model, is_free, is_byok,
        events, errors, prompt_tokens, completion_tokens, cached_tokens, cache_write_tokens, reasoning_tokens,
        quantity, provider_cost, markup, charge, byok_cost, latency_ms, latency_count)
    SELECT e.organization_id, metering_day(e.occurred_at), t.key, t.value, e.member_id, e.api_key_id, e.team_id, e.kind, e.name,
           e.model, e.is_free, e.is_byok,
           sum(sign), sum(sign * (e.status = 'error')::integer), sum(sign * e.prompt_tokens), sum(sign * e.completion_tokens),
           sum(sign * e.cached_tokens), sum(sign * e.cache_write_tokens), sum(sign * e.reasoning_tokens), sum(sign * e.quantity),
           sum(sign * e.provider_cost), sum(sign * e.markup), sum(sign * e.charge), sum(sign * e.byok_cost),
           sum(sign * coalesce(e.latency_ms, 0)), sum(sign * (e.latency_ms IS NOT NULL)::integer)
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
$$;
