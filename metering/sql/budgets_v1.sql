-- Budgets: what the usage of an organization, or of a part of it, may come to in a window of time.
--
-- A window is a row of credits_spendlimit with its budget's id: `spent` is the sum of charge and byok_cost of the live events in
-- scope that occurred in [starts_at, ends_at), and what holds that ended without an event came to; `held` is what holds
-- reserve. There is no row until something counts for a window or reserves against it, so windows turn by themselves.
--
-- Rows are written under the lock of the organization's account, as all of the ledger's are: whatever counts for a budget
-- is recorded under it too.

-- When a day of a zone begins. A midnight that comes twice is the first of the two; one that a clock change skips is the
-- instant of the change.
CREATE FUNCTION metering_midnight(day date, zone text) RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT coalesce(min(c.moment), day::timestamp AT TIME ZONE zone)
    FROM (VALUES (day::timestamp AT TIME ZONE zone),
                 (day::timestamp AT TIME ZONE zone - interval '30 minutes'),
                 (day::timestamp AT TIME ZONE zone - interval '1 hour'),
                 (day::timestamp AT TIME ZONE zone - interval '2 hours')) AS c (moment)
    WHERE c.moment AT TIME ZONE zone = day::timestamp
$$;

-- The window that `at` falls in. A total has one, from `starts` on.
CREATE FUNCTION metering_window(period text, zone text, starts timestamptz, at timestamptz,
                                OUT starts_at timestamptz, OUT ends_at timestamptz) LANGUAGE plpgsql STABLE AS $$
DECLARE
    day date := (at AT TIME ZONE zone)::date;
    after date;
BEGIN
    IF period = 'total' THEN
        starts_at := starts;
        RETURN;
    END IF;
    CASE period
        WHEN 'weekly' THEN
            day := day - (extract(isodow FROM day)::integer - 1);
            after := day + 7;
        WHEN 'monthly' THEN
            day := date_trunc('month', day)::date;
            after := (day + interval '1 month')::date;
        ELSE
            after := day + 1;
    END CASE;
    starts_at := metering_midnight(day, zone);
    ends_at := metering_midnight(after, zone);
END
$$;

CREATE FUNCTION metering_window_of(b metering_budget, at timestamptz, OUT starts_at timestamptz, OUT ends_at timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT w.starts_at, w.ends_at FROM accounts_organization o, metering_window(b.period, o.time_zone, b.starts_at, at) w
    WHERE o.id = b.organization_id
$$;

-- Whether usage is in a budget's scope. A key is meant with those it was rotated to, a department with its teams.
CREATE FUNCTION metering_in_scope(b metering_budget, member uuid, api_key uuid, team uuid, model text, tags jsonb)
RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    CASE b.scope
        WHEN 'organization' THEN
            RETURN true;
        WHEN 'team' THEN
            RETURN coalesce(team = b.subject_id, false)
                   OR EXISTS (SELECT 1 FROM accounts_team t WHERE t.id = team AND t.department_id = b.subject_id);
        WHEN 'member' THEN
            RETURN coalesce(member = b.subject_id, false);
        WHEN 'api_key' THEN
            RETURN coalesce(api_key = b.subject_id, false)
                   OR EXISTS (SELECT 1 FROM accounts_apikey k
                              WHERE k.id = api_key AND k.organization_id = b.organization_id AND k.spend_limit_id = b.subject_id);
        WHEN 'model' THEN
            RETURN model = b.subject OR (right(b.subject, 2) = '/*' AND starts_with(model, left(b.subject, -1)));
        ELSE
            RETURN coalesce(tags ->> b.tag_key = b.subject, false);
    END CASE;
END
$$;

-- What the live events in scope that occurred in [starts, ends) cost. Whole hours come from the hourly sums where those know the
-- scope.
CREATE FUNCTION metering_budget_events(b metering_budget, starts timestamptz, ends timestamptz) RETURNS numeric
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
            RETURN by_hour;
        END IF;
    END IF;
    RETURN by_hour + (
        SELECT coalesce(sum(e.charge + e.byok_cost), 0) FROM metering_usageevent e
        WHERE e.organization_id = b.organization_id AND e.voided_at IS NULL
              AND e.occurred_at >= starts AND (ends IS NULL OR e.occurred_at < ends)
              AND (first IS NULL OR e.occurred_at < first OR e.occurred_at >= last)
              AND metering_in_scope(b, e.member_id, e.api_key_id, e.team_id, e.model, e.tags));
END
$$;

-- What holds that reserved against a window and ended without an event came to.
CREATE FUNCTION metering_budget_holds(b metering_budget, limit_id uuid) RETURNS numeric LANGUAGE sql STABLE AS $$
    SELECT coalesce(sum(h.settled_amount), 0) FROM credits_hold h
    JOIN credits_ledgerentry e ON e.account_id = h.account_id AND e.key = 'hold:' || h.id
    WHERE h.account_id = b.organization_id AND limit_id = ANY (h.limit_ids) AND h.status = 'settled' AND e.event_id IS NULL
$$;

-- Counts the current window anew, with the bounds that it has by now; its holds stay. Makes it where it is missing and
-- `needed`. The caller holds the account's lock.
CREATE FUNCTION metering_recount(b metering_budget, needed boolean, p_at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
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
        ON CONFLICT DO NOTHING;
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
END
$$;

-- Makes the current windows of an organization's budgets where they are missing.
CREATE FUNCTION metering_open_windows(organization uuid, p_at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM credits_lock(ARRAY[organization]);
    PERFORM metering_recount(b, true, p_at) FROM metering_budget b
    WHERE b.organization_id = organization AND b.starts_at <= p_at
      AND NOT EXISTS (SELECT 1 FROM credits_spendlimit s
                      WHERE s.budget_id = b.id AND s.starts_at <= p_at AND (s.ends_at IS NULL OR p_at < s.ends_at));
END
$$;

-- No window that `at` falls in has begun before this. Without it every window there ever was would be looked at.
CREATE FUNCTION metering_window_since(b metering_budget, at timestamptz) RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN b.period = 'total' THEN '-infinity' ELSE at - interval '33 days' END
$$;

-- One event in a few plain statements, which cost less than the one that takes any number.
CREATE FUNCTION metering_count_alone(e metering_report, p_at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    cost numeric := e.charge + e.byok_cost;
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

-- Adds events that were just stored to the windows they occurred in, and takes out those that are void now. A window that is
-- not there yet is counted whole, from its events.
CREATE FUNCTION metering_count_budgets(reported metering_report[], voided metering_usageevent[], p_at timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
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
               e.charge + e.byok_cost AS amount
        FROM unnest(reported) e WHERE e.charge + e.byok_cost <> 0
        UNION ALL
        SELECT e.organization_id, e.occurred_at, e.member_id, e.api_key_id, e.team_id, e.model, e.tags,
               -e.charge - e.byok_cost
        FROM unnest(voided) e WHERE e.charge + e.byok_cost <> 0
    ), hit AS MATERIALIZED (
        SELECT b, b.id, m.occurred_at, m.amount
        FROM moved m JOIN metering_budget b ON b.organization_id = m.organization_id
        WHERE metering_in_scope(b, m.member_id, m.api_key_id, m.team_id, m.model, m.tags)
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

-- Tells of each threshold that a window has come to, once; of windows that are long over nobody wants to hear.
CREATE FUNCTION metering_tell_budget() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    b metering_budget;
    reached numeric[];
    is_exceeded boolean := NEW.spent > NEW.ceiling AND NEW.exceeded_at IS NULL;
    facts jsonb;
BEGIN
    SELECT * INTO b FROM metering_budget x WHERE x.id = NEW.budget_id;
    IF b.id IS NULL OR NEW.ends_at < NEW.moved_at - interval '1 day' THEN
        RETURN NULL;
    END IF;
    reached := ARRAY(SELECT t FROM unnest(b.thresholds) t
                     WHERE NEW.spent * 100 >= NEW.ceiling * t AND t <> ALL (NEW.told) ORDER BY t);
    IF reached = '{}' AND NOT is_exceeded THEN
        RETURN NULL;
    END IF;
    UPDATE credits_spendlimit s SET told = s.told || reached,
        exceeded_at = CASE WHEN is_exceeded THEN NEW.moved_at ELSE s.exceeded_at END
    WHERE s.id = NEW.id;
    facts := metering_budget_facts(b, NEW);
    INSERT INTO outbox_domainevent (id, organization_id, type, data, actor_label, created_at, attempts, last_error)
    SELECT farebox_uuid7(), b.organization_id, 'budget.threshold_reached',
           facts || jsonb_build_object('threshold', credits_text(t), 'is_highest', t = reached[cardinality(reached)] AND NOT is_exceeded),
           'budgets', NEW.moved_at, 0, ''
    FROM unnest(reached) t
    UNION ALL
    SELECT farebox_uuid7(), b.organization_id, 'budget.exceeded', facts, 'budgets', NEW.moved_at, 0, ''
    WHERE is_exceeded;
    RETURN NULL;
END
$$;

CREATE FUNCTION metering_utc(at timestamptz) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
$$;

-- What news of a budget says.
CREATE FUNCTION metering_budget_facts(b metering_budget, s credits_spendlimit) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object(
        'budget_id', b.id, 'name', b.name, 'scope', b.scope, 'period', b.period, 'enforcement', b.enforcement,
        'amount', credits_text(s.ceiling), 'spent', credits_text(s.spent),
        'remaining', credits_text(greatest(s.ceiling - s.spent, 0)),
        'starts_at', metering_utc(s.starts_at), 'resets_at', metering_utc(s.ends_at))
$$;

CREATE TRIGGER budget_window_made AFTER INSERT ON credits_spendlimit
    FOR EACH ROW WHEN (NEW.budget_id IS NOT NULL AND NEW.spent > 0) EXECUTE FUNCTION metering_tell_budget();
CREATE TRIGGER budget_window_moved AFTER UPDATE OF spent ON credits_spendlimit
    FOR EACH ROW WHEN (NEW.budget_id IS NOT NULL AND NEW.spent > 0) EXECUTE FUNCTION metering_tell_budget();

-- Says once for each window that a call was refused, with the first that it was; answers whether that is news.
CREATE FUNCTION metering_note_refusal(limit_id uuid, p_at timestamptz) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    s credits_spendlimit;
BEGIN
    UPDATE credits_spendlimit x SET blocked_at = p_at WHERE x.id = limit_id AND x.blocked_at IS NULL RETURNING * INTO s;
    IF s.id IS NULL THEN
        RETURN false;
    END IF;
    INSERT INTO outbox_domainevent (id, organization_id, type, data, actor_label, created_at, attempts, last_error)
    SELECT farebox_uuid7(), b.organization_id, 'budget.blocked', metering_budget_facts(b, s), 'budgets', p_at, 0, ''
    FROM metering_budget b WHERE b.id = s.budget_id;
    RETURN true;
END
$$;

-- An organization that moves to another zone has other days: the windows it is in are counted anew.
CREATE FUNCTION metering_zone_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM metering_budget b WHERE b.organization_id = NEW.id) THEN
        PERFORM credits_lock(ARRAY[NEW.id]);
        PERFORM metering_recount(b, false, now()) FROM metering_budget b WHERE b.organization_id = NEW.id;
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER budgets_follow_zone AFTER UPDATE OF time_zone ON accounts_organization
    FOR EACH ROW WHEN (OLD.time_zone <> NEW.time_zone) EXECUTE FUNCTION metering_zone_changed();

-- A team that moves to another department takes its usage along: every window of a team's budget is counted anew.
CREATE FUNCTION metering_department_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    twins uuid[] := ARRAY(SELECT o.id FROM accounts_organization o WHERE NEW.organization_id IN (o.id, o.live_organization_id));
BEGIN
    IF EXISTS (SELECT 1 FROM metering_budget b WHERE b.scope = 'team' AND b.organization_id = ANY (twins)) THEN
        PERFORM credits_lock(twins);
        UPDATE credits_spendlimit s SET
            spent = metering_budget_events(b, s.starts_at, s.ends_at) + metering_budget_holds(b, s.id), moved_at = now()
        FROM metering_budget b
        WHERE b.scope = 'team' AND b.organization_id = ANY (twins) AND s.budget_id = b.id;
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER budgets_follow_departments AFTER UPDATE OF department_id ON accounts_team
    FOR EACH ROW WHEN (OLD.department_id IS DISTINCT FROM NEW.department_id) EXECUTE FUNCTION metering_department_changed();
