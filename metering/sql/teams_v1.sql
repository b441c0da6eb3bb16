-- Which team the use of a member or of a key counts for: the one that the key, else the member, was in when it happened. No
-- statement of this is run while nobody is in any team.

CREATE FUNCTION metering_with_teams(events metering_report[]) RETURNS metering_report[] LANGUAGE plpgsql AS $$
DECLARE
    known record;
BEGIN
    FOR known IN
        SELECT e.ordinality AS place, coalesce(k.team_id, m.team_id) AS team
        FROM unnest(events) WITH ORDINALITY AS e
        LEFT JOIN accounts_teamplacement k ON k.subject_id = e.api_key_id AND k.starts_at <= e.occurred_at
                                              AND (k.ends_at IS NULL OR k.ends_at > e.occurred_at)
        LEFT JOIN accounts_teamplacement m ON m.subject_id = e.member_id AND m.starts_at <= e.occurred_at
                                              AND (m.ends_at IS NULL OR m.ends_at > e.occurred_at)
        WHERE k.team_id IS NOT NULL OR m.team_id IS NOT NULL
    LOOP
        events[known.place].team_id := known.team;
    END LOOP;
    RETURN events;
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
        external_customer_id, parent_id, team_id)
    SELECT e.id, e.organization_id, e.occurred_at, coalesce(e.received_at, p_at), e.kind, e.name, e.source, e.external_id, e.member_id,
           e.api_key_id, e.model, e.provider, e.prompt_tokens, e.completion_tokens, e.cached_tokens, e.cache_write_tokens,
           e.reasoning_tokens, e.quantity, e.provider_cost, e.markup, e.charge, e.byok_cost, e.is_free, e.is_byok,
           e.cost_source, e.price_id, e.tier_slug, e.generation_id, e.hold_id, e.status, e.latency_ms, e.tags, e.metadata,
           e.derivation, e.corrects_id, CASE WHEN e.charge > 0 THEN farebox_uuid7_of(seed, e.ordinality::integer) END,
           e.customer_id, e.external_customer_id, e.parent_id, e.team_id
    FROM unnest(events) WITH ORDINALITY AS e
    WHERE refused = '{}' OR refused[e.ordinality] IS NULL;
END
$$;

-- Sums by tag that were written before they had dimensions have no kind. This gives those of one UTC day their dimensions:
-- what its live events come to less what the rows with dimensions already say is added to those, and the old rows go. One
-- statement, hence one moment of the books; what is recorded meanwhile adds itself and waits for nothing but single rows.
CREATE FUNCTION metering_complete_tags(p_day date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    starts timestamptz := p_day::timestamp AT TIME ZONE 'UTC';
    ends timestamptz := (p_day + 1)::timestamp AT TIME ZONE 'UTC';
BEGIN
    WITH parts AS (
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
    )
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
        latency_count = u.latency_count + excluded.latency_count;
    DELETE FROM metering_usagetagday WHERE day = p_day AND events = 0;
END
$$;
