-- The second version of what changes: budgets count what events add to the meters of a tier too, and a new budget the calls that
-- are running. Otherwise as before; see budgets_v1.sql.
--
-- What an event adds to meters is what its steps came to when it was recorded; one that is taken back gives back just that. So
-- the usage of a window never comes to less than nothing, whatever the steps of a price. A period's minimum is no usage.

-- What an event added to the price of meters when it was recorded.
CREATE FUNCTION metering_metered(organization uuid, event uuid) RETURNS numeric LANGUAGE sql STABLE AS $$
    SELECT greatest(coalesce(sum(m.amount), 0), 0) FROM metering_meteredcharge m
    WHERE m.organization_id = organization AND m.event_id = event AND m.cause = 'use'
$$;

-- The same of all live events in scope that occurred in [starts, ends).
CREATE FUNCTION metering_budget_metered(b metering_budget, starts timestamptz, ends timestamptz) RETURNS numeric
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM metering_meteredcharge m WHERE m.organization_id = b.organization_id) THEN
        RETURN 0;
    END IF;
    RETURN (
        SELECT coalesce(sum(greatest(x.amount, 0)), 0) FROM (
            SELECT sum(m.amount) AS amount
            FROM metering_usageevent e
            JOIN metering_meteredcharge m ON m.organization_id = e.organization_id AND m.event_id = e.id AND m.cause = 'use'
            WHERE e.organization_id = b.organization_id AND e.voided_at IS NULL
                  AND e.occurred_at >= starts AND (ends IS NULL OR e.occurred_at < ends)
                  AND metering_in_scope(b, e.member_id, e.api_key_id, e.team_id, e.model, e.tags)
            GROUP BY e.id) x);
END
$$;

-- As before, with what they add to meters.
CREATE OR REPLACE FUNCTION metering_budget_events(b metering_budget, starts timestamptz, ends timestamptz) RETURNS numeric
LANGUAGE plpgsql STABLE AS $$
DECLARE
    first timestamptz := date_trunc('hour', starts, 'UTC');
    last timestamptz := date_trunc('hour', ends, 'UTC');
    by_hour numeric := 0;
BEGIN
    IF first < starts THEN
        first := first + interval '1 hour';
    END IF;
    IF b.scope = 'tag' OR first >= last THEN  -- one range of events instead of two
        first := NULL;
    ELSE
        SELECT coalesce(sum(h.charge + h.byok_cost), 0) INTO by_hour
        FROM metering_usagehour h
        WHERE h.organization_id = b.organization_id AND h.hour >= first AND (last IS NULL OR h.hour < last)
              AND metering_in_scope(b, h.member_id, h.api_key_id, h.team_id, h.model, NULL);
        IF first = starts AND last IS NOT DISTINCT FROM ends THEN
            RETURN by_hour + metering_budget_metered(b, starts, ends);
        END IF;
    END IF;
    RETURN by_hour + metering_budget_metered(b, starts, ends) + (
        SELECT coalesce(sum(e.charge + e.byok_cost), 0) FROM metering_usageevent e
        WHERE e.organization_id = b.organization_id AND e.voided_at IS NULL
              AND e.occurred_at >= starts AND (ends IS NULL OR e.occurred_at < ends)
              AND (first IS NULL OR e.occurred_at < first OR e.occurred_at >= last)
              AND metering_in_scope(b, e.member_id, e.api_key_id, e.team_id, e.model, e.tags));
END
$$;

-- Reserves of a window that can refuse calls what those set aside that are running already and in scope. Calls of the gateway say
-- whose they are; other holds do not, and count for the organization alone. The caller holds the account's lock.
CREATE FUNCTION metering_adopt_holds(b metering_budget, window_id uuid) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    taken numeric;
BEGIN
    IF window_id IS NULL OR b.enforcement <> 'block' THEN
        RETURN;
    END IF;
    WITH adopted AS (
        UPDATE credits_hold h SET limit_ids = h.limit_ids || window_id
        FROM credits_spendlimit s
        WHERE s.id = window_id AND h.account_id = b.organization_id AND h.status = 'open' AND window_id <> ALL (h.limit_ids)
              AND h.placed_at >= s.starts_at AND (s.ends_at IS NULL OR h.placed_at < s.ends_at)
              AND metering_hold_in_scope(b, h)
        RETURNING h.limit_amount
    )
    SELECT sum(a.limit_amount) INTO taken FROM adopted a;
    IF taken > 0 THEN
        UPDATE credits_spendlimit s SET held = s.held + taken WHERE s.id = window_id;
    END IF;
END
$$;

CREATE FUNCTION metering_hold_in_scope(b metering_budget, h credits_hold) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
DECLARE
    member uuid;
    api_key uuid;
    team uuid;
BEGIN
    IF b.scope = 'organization' THEN
        RETURN true;
    ELSIF h.purpose <> 'gateway' THEN
        RETURN false;
    END IF;
    member := h.context ->> 'member_id';
    api_key := h.context ->> 'api_key_id';
    IF b.scope = 'team' THEN
        team := coalesce((SELECT k.team_id FROM accounts_apikey k WHERE k.id = api_key),
                         (SELECT m.team_id FROM accounts_membership m WHERE m.id = member));
    END IF;
    RETURN EXISTS (SELECT FROM jsonb_array_elements_text(coalesce(h.context -> 'models', '[]')) AS asked (model)
                   WHERE metering_in_scope(b, member, api_key, team, asked.model, coalesce(h.context -> 'tags', '{}')));
END
$$;

-- As before; a window that can refuse calls takes the running ones over.
CREATE OR REPLACE FUNCTION metering_recount(b metering_budget, needed boolean, p_at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    made uuid;
    w record := metering_window_of(b, p_at);
    current uuid := (SELECT s.id FROM credits_spendlimit s
                     WHERE s.budget_id = b.id AND s.starts_at <= p_at AND (s.ends_at IS NULL OR p_at < s.ends_at)
                     ORDER BY s.starts_at DESC LIMIT 1);
    cost numeric;
BEGIN
    IF current IS NULL AND NOT needed THEN
        RETURN;
    END IF;
    cost := metering_budget_events(b, w.starts_at, w.ends_at);
    IF current IS NULL THEN
        INSERT INTO credits_spendlimit (
            id, account_id, ceiling, spent, held, excess, budget_id, starts_at, ends_at, is_hard, told, moved_at)
        VALUES (farebox_uuid7(), b.organization_id, b.amount, cost, 0, 0, b.id, w.starts_at, w.ends_at,
                b.enforcement = 'block', '{}', p_at)
        ON CONFLICT DO NOTHING RETURNING id INTO made;
        PERFORM metering_adopt_holds(b, made);
        RETURN;
    END IF;
    DELETE FROM credits_spendlimit s WHERE s.budget_id = b.id AND s.id <> current AND s.starts_at >= w.starts_at;
    cost := cost + metering_budget_holds(b, current);
    UPDATE credits_spendlimit s SET
        ceiling = b.amount, is_hard = b.enforcement = 'block', starts_at = w.starts_at, ends_at = w.ends_at, spent = cost,
        -- what the amount as it is now has not come to yet is told when it does
        told = ARRAY(SELECT t FROM unnest(s.told) t WHERE cost * 100 >= b.amount * t),
        exceeded_at = CASE WHEN cost > b.amount THEN s.exceeded_at END,
        blocked_at = CASE WHEN s.ceiling = b.amount AND s.is_hard = (b.enforcement = 'block') THEN s.blocked_at END,
        moved_at = p_at
    WHERE s.id = current;
    PERFORM metering_adopt_holds(b, current);
END
$$;

-- Adds what calls of the gateway added to meters to the own limits of their API keys: a hold's end counts its charge alone.
CREATE FUNCTION metering_count_lines(reported metering_report[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM unnest(reported) e
                   WHERE e.metered IS NOT NULL AND e.hold_id IS NOT NULL AND e.limit_ids = '{}') THEN
        RETURN;
    END IF;
    UPDATE credits_spendlimit s SET
        spent = s.spent + d.amount,
        excess = greatest(s.excess, s.spent + d.amount + s.held - s.ceiling)
    FROM (SELECT line, sum(metering_metered(e.organization_id, e.id)) AS amount
          FROM unnest(reported) e
          JOIN credits_hold h ON h.account_id = e.organization_id AND h.id = e.hold_id
          CROSS JOIN unnest(h.limit_ids) AS line
          WHERE e.metered IS NOT NULL AND e.limit_ids = '{}'
          GROUP BY line) d
    WHERE s.id = d.line AND s.budget_id IS NULL AND d.amount > 0;
END
$$;

-- As before, with what they add to meters.
CREATE OR REPLACE FUNCTION metering_count_alone(e metering_report, p_at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    cost numeric := e.charge + e.byok_cost + CASE WHEN e.metered IS NULL THEN 0 ELSE metering_metered(e.organization_id, e.id) END;
    b metering_budget;
    w record;
BEGIN
    IF cost = 0 THEN
        RETURN;
    END IF;
    FOR b IN SELECT x.* FROM metering_budget x
             WHERE x.organization_id = e.organization_id AND (x.period <> 'total' OR x.starts_at <= e.occurred_at) ORDER BY x.id LOOP
        IF b.scope = 'team' THEN
            SELECT x.team_id INTO e.team_id FROM metering_usageevent x
            WHERE x.organization_id = e.organization_id AND x.id = e.id AND x.occurred_at = e.occurred_at;
        END IF;
        CONTINUE WHEN NOT metering_in_scope(b, e.member_id, e.api_key_id, e.team_id, e.model, e.tags);
        UPDATE credits_spendlimit s SET spent = s.spent + cost, moved_at = p_at
        WHERE s.budget_id = b.id AND s.starts_at <= e.occurred_at AND (s.ends_at IS NULL OR e.occurred_at < s.ends_at)
              AND s.starts_at > metering_window_since(b, e.occurred_at);
        IF NOT FOUND THEN
            w := metering_window_of(b, e.occurred_at);
            INSERT INTO credits_spendlimit (
                id, account_id, ceiling, spent, held, excess, budget_id, starts_at, ends_at, is_hard, told, moved_at)
            VALUES (farebox_uuid7(), b.organization_id, b.amount, metering_budget_events(b, w.starts_at, w.ends_at), 0, 0, b.id,
                    w.starts_at, w.ends_at, b.enforcement = 'block', '{}', p_at)
            ON CONFLICT DO NOTHING;
        END IF;
    END LOOP;
END
$$;

CREATE OR REPLACE FUNCTION metering_count_budgets(reported metering_report[], voided metering_usageevent[], p_at timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM metering_count_lines(reported);
    IF cardinality(reported) = 1 AND voided = '{}' THEN  -- the usual case of a process with little to do
        IF EXISTS (SELECT 1 FROM metering_budget b WHERE b.organization_id = (reported[1]).organization_id) THEN
            PERFORM metering_count_alone(reported[1], p_at);
        END IF;
        RETURN;
    END IF;
    IF NOT EXISTS (SELECT 1 FROM metering_budget b WHERE b.organization_id IN (
            SELECT e.organization_id FROM unnest(reported) e UNION ALL SELECT e.organization_id FROM unnest(voided) e)) THEN
        RETURN;
    END IF;
    WITH moved AS (
        SELECT e.organization_id, e.occurred_at, e.member_id, e.api_key_id, e.team_id, e.model, e.tags,
               e.charge + e.byok_cost
               + CASE WHEN e.metered IS NULL THEN 0 ELSE metering_metered(e.organization_id, e.id) END AS amount
        FROM unnest(reported) e
        UNION ALL
        SELECT e.organization_id, e.occurred_at, e.member_id, e.api_key_id, e.team_id, e.model, e.tags,
               -e.charge - e.byok_cost - metering_metered(e.organization_id, e.id)
        FROM unnest(voided) e
    ), hit AS MATERIALIZED (
        SELECT b, b.id, m.occurred_at, m.amount
        FROM moved m JOIN metering_budget b ON b.organization_id = m.organization_id
        WHERE m.amount <> 0 AND metering_in_scope(b, m.member_id, m.api_key_id, m.team_id, m.model, m.tags)
              AND (b.period <> 'total' OR m.occurred_at >= b.starts_at)
    ), counted AS (
        SELECT h.b, h.id, h.occurred_at, h.amount, s.id AS limit_id
        FROM hit h LEFT JOIN credits_spendlimit s
            ON s.budget_id = h.id AND s.starts_at <= h.occurred_at AND (s.ends_at IS NULL OR h.occurred_at < s.ends_at)
               AND s.starts_at > metering_window_since(h.b, h.occurred_at)
    ), made AS (
        INSERT INTO credits_spendlimit (
            id, account_id, ceiling, spent, held, excess, budget_id, starts_at, ends_at, is_hard, told, moved_at)
        SELECT farebox_uuid7(), (n.b).organization_id, (n.b).amount, metering_budget_events(n.b, n.starts_at, n.ends_at), 0, 0,
               (n.b).id, n.starts_at, n.ends_at, (n.b).enforcement = 'block', '{}', p_at
        FROM (SELECT DISTINCT ON (c.id, w.starts_at) c.b, w.starts_at, w.ends_at
              FROM counted c, metering_window_of(c.b, c.occurred_at) w WHERE c.limit_id IS NULL) n
        ON CONFLICT DO NOTHING
    )
    UPDATE credits_spendlimit s SET spent = s.spent + d.amount, moved_at = p_at
    FROM (SELECT c.limit_id, sum(c.amount) AS amount FROM counted c WHERE c.limit_id IS NOT NULL GROUP BY 1) d
    WHERE s.id = d.limit_id AND d.amount <> 0;
END
$$;
