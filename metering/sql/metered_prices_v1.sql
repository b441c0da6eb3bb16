-- Metered prices of tiers: what events add to the operator's meters is priced in the transaction that records them.
--
-- The charge of an event is the price of the period's quantity after it less the price before it, both rounded half to even
-- at 12 places, so that the charges of a period add up to the price of what it counted. Counters are written under the lock
-- of the organization's account, which the caller holds; then by organization and meter.

-- Half to even at 12 places, for amounts from 0 up.
CREATE FUNCTION metering_round(amount numeric) RETURNS numeric LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN amount - trunc(amount, 12) = 0.0000000000005 AND mod(trunc(amount, 12) * 1000000000000, 2) = 0
                THEN trunc(amount, 12) ELSE round(amount, 12) END
$$;

CREATE FUNCTION metering_number(held jsonb, name text) RETURNS numeric LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce((held ->> name)::numeric, 0)
$$;

-- What `quantity` costs so far in a period; metering/price_models.py says the same.
CREATE FUNCTION metering_running_price(quantity numeric, price jsonb) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    billable numeric := greatest(quantity - metering_number(price, 'included'), 0);
    amount numeric := 0;
    below numeric := 0;
    reached numeric;
    step jsonb;
BEGIN
    CASE price ->> 'model'
        WHEN 'per_unit' THEN
            amount := billable * metering_number(price, 'unit_amount');
        WHEN 'package' THEN
            amount := (div(billable, metering_number(price, 'package_size'))
                       + (mod(billable, metering_number(price, 'package_size')) > 0)::integer)
                      * metering_number(price, 'package_amount');
        ELSE
            FOR step IN SELECT * FROM jsonb_array_elements(price -> 'steps') LOOP
                EXIT WHEN billable <= below;
                reached := least(billable, (step ->> 'up_to')::numeric);  -- without up_to: all of it
                IF price ->> 'model' = 'graduated' THEN
                    amount := amount + (reached - below) * metering_number(step, 'unit_amount')
                              + metering_number(step, 'flat_amount');
                ELSIF reached = billable THEN
                    amount := billable * metering_number(step, 'unit_amount') + metering_number(step, 'flat_amount');
                END IF;
                below := reached;
            END LOOP;
    END CASE;
    RETURN least(amount, (price ->> 'cap')::numeric);
END
$$;

-- What a counter comes to: the price of its quantity, and once its period is closed its minimum at least.
CREATE FUNCTION metering_amount(c metering_meteredcounter) RETURNS numeric LANGUAGE sql IMMUTABLE AS $$
    SELECT greatest(metering_round(metering_running_price(c.quantity, c.price)), coalesce(c.minimum, 0))
$$;

-- The period in which an event counts that replaces another: where that one counts, else where it was received.
CREATE FUNCTION metering_period_of(organization uuid, replaced uuid, received timestamptz)
RETURNS TABLE (subscription_id uuid, period_index integer, tier_id uuid, starts_at timestamptz, ends_at timestamptz)
LANGUAGE sql STABLE AS $$
    WITH mine AS (
        SELECT s.* FROM tiers_subscription s
        WHERE s.organization_id = organization AND s.started_at <= received AND (s.ended_at IS NULL OR s.ended_at > received)
    )
    SELECT p.subscription_id, p.period_index, p.tier_id, p.starts_at, p.ends_at FROM (
        SELECT 1 AS choice, c.subscription_id, c.period_index, s.tier_id, c.starts_at, c.ends_at
        FROM metering_meteredcharge m
        JOIN metering_meteredcounter c ON c.id = m.counter_id
        JOIN tiers_subscription s ON s.id = c.subscription_id
        WHERE m.organization_id = organization AND m.event_id = replaced
        UNION ALL
        SELECT 2, s.id, s.period_index, s.tier_id, s.period_starts_at, s.period_ends_at
        FROM mine s WHERE s.period_starts_at <= received
        UNION ALL
        SELECT 3, s.id, k.period_index, s.tier_id, k.starts_at, k.ends_at
        FROM mine s JOIN tiers_periodclose k ON k.subscription_id = s.id
        WHERE k.starts_at <= received AND k.ends_at > received
    ) p ORDER BY p.choice LIMIT 1
$$;

-- What events that are not `refused` add to meters, and the period that each counts in: the one that its organization is in,
-- but for what replaces another event.
CREATE FUNCTION metering_hits(events metering_report[], refused text[])
RETURNS TABLE (place integer, event_id uuid, actor text, limit_ids uuid[], is_forced boolean, meter_id uuid, value numeric,
               organization_id uuid, subscription_id uuid, period_index integer, tier_id uuid, starts_at timestamptz,
               ends_at timestamptz)
LANGUAGE sql AS $$
    WITH event AS MATERIALIZED (
        SELECT e.ordinality::integer AS place, e.id, e.organization_id, left(e.actor, 120) AS actor, e.limit_ids,
               e.source = 'gateway' AND e.hold_id IS NOT NULL AS is_forced, e.corrects_id, e.received_at, e.metered
        FROM unnest(events) WITH ORDINALITY AS e
        WHERE e.metered IS NOT NULL AND (refused = '{}' OR refused[e.ordinality] IS NULL)
    )
    SELECT e.place, e.id, e.actor, e.limit_ids, e.is_forced, (h ->> 'meter')::uuid, (h ->> 'value')::numeric,
           e.organization_id, s.id, s.period_index, s.tier_id, s.period_starts_at, s.period_ends_at
    FROM event e
    JOIN tiers_subscription s ON s.organization_id = e.organization_id AND s.ended_at IS NULL
    CROSS JOIN jsonb_array_elements(e.metered) h
    WHERE e.corrects_id IS NULL
    UNION ALL
    SELECT e.place, e.id, e.actor, e.limit_ids, e.is_forced, (h ->> 'meter')::uuid, (h ->> 'value')::numeric,
           e.organization_id, p.subscription_id, p.period_index, p.tier_id, p.starts_at, p.ends_at
    FROM event e
    CROSS JOIN metering_period_of(e.organization_id, e.corrects_id, e.received_at) p
    CROSS JOIN jsonb_array_elements(e.metered) h
    WHERE e.corrects_id IS NOT NULL
$$;

-- Makes the counters that events hit and that are not there yet.
CREATE FUNCTION metering_open_counters(events metering_report[], refused text[]) RETURNS void LANGUAGE sql AS $$
    INSERT INTO metering_meteredcounter (
        id, organization_id, subscription_id, period_index, meter_id, meter_name, mode, price, starts_at, ends_at, quantity,
        amount, charged, owed)
    SELECT farebox_uuid7(), h.organization_id, h.subscription_id, h.period_index, h.meter_id, p ->> 'name', p ->> 'mode',
           p -> 'price', h.starts_at, h.ends_at, 0, 0, 0, 0
    FROM (SELECT DISTINCT organization_id, subscription_id, period_index, meter_id, tier_id, starts_at, ends_at
          FROM metering_hits(events, refused)) h
    JOIN tiers_tier t ON t.id = h.tier_id
    JOIN jsonb_array_elements(t.metered_prices) p ON p ->> 'meter' = h.meter_id::text
    ON CONFLICT DO NOTHING
$$;

-- Prices what events that are not `refused` add to meters, and charges it. Answers what credit paid of each; and the places
-- that credit does not cover, with each after it that adds to the same meter: then the caller undoes everything and leaves
-- those out. What a call through the gateway costs beyond that is owed instead: it has been made.
CREATE FUNCTION metering_rate(events metering_report[], refused text[], p_at timestamptz)
RETURNS TABLE (place integer, event_id uuid, status text, entry_id uuid, charged numeric, balance numeric, held numeric,
               available numeric, excess numeric)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    seed text := farebox_uuid7();
    counters metering_meteredcounter[] := '{}';
    c metering_meteredcounter;
    m metering_meteredcharge;
    steps metering_meteredcharge[] := '{}';
    items credits_item[] := '{}';
    -- by step: the place of its event, and of its counter; whether it is paid whatever happens
    places integer[] := '{}';
    owners integer[] := '{}';
    forced boolean[] := '{}';
    hit record;
    paid record;
    n integer;
BEGIN
    PERFORM metering_open_counters(events, refused);
    FOR hit IN
        SELECT h.*, k AS counter, k.id AS counter_id
        FROM metering_hits(events, refused) h
        JOIN metering_meteredcounter k ON k.organization_id = h.organization_id AND k.subscription_id = h.subscription_id
                                       AND k.period_index = h.period_index AND k.meter_id = h.meter_id
        ORDER BY k.organization_id, k.meter_id, k.id, h.place
    LOOP
        IF c.id IS DISTINCT FROM hit.counter_id THEN
            c := hit.counter;
            counters := counters || c;
        END IF;
        n := cardinality(steps) + 1;
        m := ROW(farebox_uuid7_of(seed, n), c.organization_id, c.id, hit.event_id, 'use', hit.value, c.quantity, 0, 0, NULL,
                 p_at);
        c.quantity := c.quantity + hit.value;
        m.amount := metering_amount(c) - c.amount;
        c.amount := c.amount + m.amount;
        IF c.mode = 'priced' THEN
            m.owed := m.amount;
        ELSIF m.amount > 0 THEN
            m.entry_id := farebox_uuid7_of(seed, 524288 + n);
            items := items || ROW(n, m.entry_id, c.organization_id, 'spend', 'charge', m.amount, 'metered:' || m.id, '',
                                  left('Usage: ' || c.meter_name, 300), hit.actor, hit.event_id, true,
                                  hit.limit_ids)::credits_item;
        END IF;
        c.charged := c.charged + m.amount - m.owed;
        c.owed := c.owed + m.owed;
        counters[cardinality(counters)] := c;
        steps := steps || m;
        places := places || hit.place;
        owners := owners || cardinality(counters);
        forced := forced || hit.is_forced;
    END LOOP;
    IF items <> '{}' THEN
        FOR paid IN SELECT p.* FROM credits_post(items, NULL, p_at) p LOOP
            n := paid.ord;
            IF paid.status = 'posted' THEN
                RETURN QUERY SELECT places[n], steps[n].event_id, 'recorded', NULL::uuid, steps[n].amount, paid.balance,
                                    paid.held, paid.available, 0::numeric;
            ELSIF forced[n] THEN
                steps[n].entry_id := NULL;
                steps[n].owed := steps[n].amount;
                counters[owners[n]].charged := counters[owners[n]].charged - steps[n].amount;
                counters[owners[n]].owed := counters[owners[n]].owed + steps[n].amount;
            ELSE  -- it, and all that was counted on top of it
                RETURN QUERY
                SELECT places[o], steps[o].event_id, paid.status, NULL::uuid, NULL::numeric, paid.balance, paid.held,
                       paid.available, 0::numeric
                FROM generate_series(n, cardinality(steps)) o
                WHERE owners[o] = owners[n] AND NOT forced[o];
            END IF;
        END LOOP;
    END IF;
    INSERT INTO metering_meteredcharge SELECT * FROM unnest(steps);
    UPDATE metering_meteredcounter t SET quantity = s.quantity, amount = s.amount, charged = s.charged, owed = s.owed
    FROM unnest(counters) s WHERE t.id = s.id;
    FOR n IN SELECT o FROM generate_subscripts(steps, 1) o
             WHERE steps[o].amount < 0 AND counters[owners[o]].mode = 'credits' LOOP
        FOR paid IN SELECT * FROM metering_give_back(steps[n], p_at) LOOP
            RETURN QUERY SELECT places[n], steps[n].event_id, 'recorded', NULL::uuid, -paid.given, paid.balance, paid.held,
                                paid.available, 0::numeric;
        END LOOP;
    END LOOP;
END
$$;

-- Gives back what a step has taken off the price of a counter that charges credits, and answers what credit came back. What is
-- owed comes off first; the rest goes to the lots that paid the latest charges. Both rows are stored, `charged` already
-- without it. What somebody has refunded before is not given back again.
CREATE FUNCTION metering_give_back(step metering_meteredcharge, p_at timestamptz)
RETURNS TABLE (given numeric, balance numeric, held numeric, available numeric) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    paid record;
    posted record;
    rest numeric := -step.amount;
    part numeric;
BEGIN
    SELECT least(rest, greatest(c.owed, 0)) INTO part FROM metering_meteredcounter c WHERE c.id = step.counter_id;
    IF part > 0 THEN
        UPDATE metering_meteredcounter SET charged = charged + part, owed = owed - part WHERE id = step.counter_id;
        UPDATE metering_meteredcharge SET owed = -part WHERE id = step.id;
        rest := rest - part;
    END IF;
    FOR paid IN
        SELECT m.entry_id, -e.amount - coalesce((SELECT sum(r.amount) FROM credits_ledgerentry r
                                                 WHERE r.account_id = e.account_id AND r.reverses_id = e.id), 0) AS remaining
        FROM metering_meteredcharge m
        JOIN credits_ledgerentry e ON e.account_id = step.organization_id AND e.id = m.entry_id
        WHERE m.counter_id = step.counter_id AND m.entry_id IS NOT NULL
        ORDER BY m.id DESC
    LOOP
        EXIT WHEN rest = 0;
        part := least(rest, paid.remaining);
        CONTINUE WHEN part <= 0;
        SELECT * INTO posted FROM post_entries(jsonb_build_array(jsonb_build_object(
            'account', step.organization_id, 'type', 'refund', 'kind', 'reversal', 'entry', paid.entry_id, 'amount', part,
            'key', 'metered-back:' || step.id || ':' || paid.entry_id, 'reason', 'Usage taken back', 'actor', 'metering',
            'event', step.event_id, 'lot', farebox_uuid7(), 'priority', 40)), p_at) p;
        IF posted.status <> 'posted' THEN
            RAISE EXCEPTION 'metered charge % could not be given back: %', paid.entry_id, posted.status;
        END IF;
        RETURN QUERY SELECT part, posted.balance, posted.held, posted.available;
        rest := rest - part;
    END LOOP;
END
$$;

-- Takes out of the counters what events that are void now had added, and gives back or charges the difference in price. What
-- credit does not cover of a price that rises by it is owed.
CREATE FUNCTION metering_unrate(organizations uuid[], ids uuid[], p_at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    used record;
    c metering_meteredcounter;
    m metering_meteredcharge;
    paid record;
BEGIN
    IF NOT EXISTS (SELECT 1 FROM metering_meteredcharge x JOIN unnest(organizations, ids) AS t (organization, id)
                   ON x.organization_id = t.organization AND x.event_id = t.id) THEN
        RETURN;
    END IF;
    PERFORM credits_lock(organizations);
    FOR used IN
        SELECT x.organization_id, x.counter_id, x.event_id, sum(x.quantity) AS quantity
        FROM metering_meteredcharge x JOIN unnest(organizations, ids) AS t (organization, id)
            ON x.organization_id = t.organization AND x.event_id = t.id
        JOIN metering_meteredcounter k ON k.id = x.counter_id
        GROUP BY x.organization_id, k.meter_id, x.counter_id, x.event_id
        HAVING sum(x.quantity) <> 0
        ORDER BY x.organization_id, k.meter_id, x.counter_id, x.event_id
    LOOP
        SELECT * INTO c FROM metering_meteredcounter WHERE id = used.counter_id;
        m := ROW(farebox_uuid7(), c.organization_id, c.id, used.event_id, 'void', -used.quantity, c.quantity, 0, 0, NULL, p_at);
        c.quantity := c.quantity - used.quantity;
        m.amount := metering_amount(c) - c.amount;
        IF c.mode = 'priced' THEN
            m.owed := m.amount;
        ELSIF m.amount > 0 THEN
            SELECT p.* INTO paid FROM credits_post(ARRAY[ROW(
                1, farebox_uuid7(), c.organization_id, 'spend', 'charge', m.amount, 'metered:' || m.id, '',
                left('Usage: ' || c.meter_name, 300), 'metering', used.event_id, true, '{}'::uuid[])::credits_item], NULL, p_at) p;
            IF paid.status = 'posted' THEN
                m.entry_id := paid.entry_id;
            ELSE
                m.owed := m.amount;
            END IF;
        END IF;
        INSERT INTO metering_meteredcharge SELECT (m).*;
        UPDATE metering_meteredcounter SET
            quantity = c.quantity, amount = amount + m.amount, charged = charged + m.amount - m.owed, owed = owed + m.owed
        WHERE id = c.id;
        IF c.mode = 'credits' AND m.amount < 0 THEN
            PERFORM metering_give_back(m, p_at);
        END IF;
    END LOOP;
END
$$;

-- Closes periods, before the next begin: [{organization_id, subscription_id, period_index, tier_id, starts_at, ends_at,
-- minimums}]. `minimums`: what each meter costs at least, USD; what a counter does not reach of it is owed. Answers what each
-- organization owes over all its periods, USD, by place.
CREATE FUNCTION metering_close_periods(p_items jsonb, p_at timestamptz) RETURNS TABLE (ord integer, owed numeric)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    PERFORM credits_lock(ARRAY(SELECT (i ->> 'organization_id')::uuid FROM jsonb_array_elements(p_items) i));
    INSERT INTO metering_meteredcounter (
        id, organization_id, subscription_id, period_index, meter_id, meter_name, mode, price, starts_at, ends_at, quantity,
        amount, charged, owed)
    SELECT farebox_uuid7(), i.organization_id, i.subscription_id, i.period_index, due.key::uuid, p ->> 'name',
           p ->> 'mode', p -> 'price', i.starts_at, i.ends_at, 0, 0, 0, 0
    FROM jsonb_to_recordset(p_items) AS i (organization_id uuid, subscription_id uuid, period_index integer, tier_id uuid,
                                           starts_at timestamptz, ends_at timestamptz, minimums jsonb)
    JOIN tiers_tier t ON t.id = i.tier_id
    CROSS JOIN jsonb_each_text(i.minimums) due
    JOIN jsonb_array_elements(t.metered_prices) p ON p ->> 'meter' = due.key
    ON CONFLICT DO NOTHING;
    WITH short AS (
        SELECT c.id, c.organization_id, c.quantity, due.value::numeric AS minimum,
               greatest(due.value::numeric - c.amount, 0) AS amount
        FROM jsonb_to_recordset(p_items) AS i (organization_id uuid, subscription_id uuid, period_index integer, minimums jsonb)
        CROSS JOIN jsonb_each_text(i.minimums) due
        JOIN metering_meteredcounter c ON c.organization_id = i.organization_id AND c.subscription_id = i.subscription_id
                                       AND c.period_index = i.period_index AND c.meter_id = due.key::uuid
        WHERE c.minimum IS NULL
    ), noted AS (
        INSERT INTO metering_meteredcharge (
            id, organization_id, counter_id, event_id, cause, quantity, before, amount, owed, entry_id, created_at)
        SELECT farebox_uuid7(), s.organization_id, s.id, NULL, 'minimum', 0, s.quantity, s.amount, s.amount, NULL, p_at
        FROM short s WHERE s.amount > 0
    )
    UPDATE metering_meteredcounter c SET minimum = s.minimum, amount = c.amount + s.amount, owed = c.owed + s.amount
    FROM short s WHERE c.id = s.id;
    RETURN QUERY
    SELECT i.ord::integer, coalesce((
        SELECT sum(c.owed) FROM metering_meteredcounter c WHERE c.organization_id = i.organization_id), 0)
    FROM ROWS FROM (jsonb_to_recordset(p_items) AS (organization_id uuid)) WITH ORDINALITY AS i (organization_id, ord)
    ORDER BY 1;
END
$$;

-- Moves the money of events that add to meters, or replace such: their own charges and holds, then what they add. Where credit
-- runs out, everything is undone and done again without the events that it does not cover.
CREATE FUNCTION metering_charge_all(events metering_report[], refused text[], seed text, p_at timestamptz)
RETURNS SETOF metering_answer LANGUAGE plpgsql AS $$
DECLARE
    left_out text[] := refused;
    kept text[];
    own metering_answer[];
    rated metering_answer[];
    refusals metering_answer[] := '{}';
    answer metering_answer;
BEGIN
    PERFORM credits_lock(ARRAY(SELECT DISTINCT e.organization_id FROM unnest(events) e));
    LOOP
        BEGIN
            own := ARRAY(SELECT m FROM metering_move_money(events, left_out, seed, p_at) m);
            kept := left_out;
            FOREACH answer IN ARRAY own LOOP
                IF answer.status <> 'recorded' THEN kept[answer.place] := answer.status; END IF;
            END LOOP;
            PERFORM metering_unrate(array_agg(e.organization_id), array_agg(e.corrects_id), p_at)
            FROM unnest(events) WITH ORDINALITY AS e
            WHERE e.corrects_id IS NOT NULL AND (kept = '{}' OR kept[e.ordinality] IS NULL)
            HAVING count(*) > 0;
            rated := ARRAY(SELECT ROW(r.*)::metering_answer FROM (
                SELECT r.place, r.event_id, r.status, r.entry_id, r.charged, r.balance, r.held, r.available, r.excess
                FROM metering_rate(events, kept, p_at) r) r);
            IF EXISTS (SELECT 1 FROM unnest(rated) r WHERE r.status <> 'recorded') THEN
                RAISE EXCEPTION USING ERRCODE = 'FBX01';
            END IF;
            EXIT;
        EXCEPTION WHEN SQLSTATE 'FBX01' THEN
            FOR answer IN SELECT DISTINCT ON (r.place) r.* FROM unnest(rated) r WHERE r.status <> 'recorded' ORDER BY r.place LOOP
                left_out[answer.place] := answer.status;
                refusals := refusals || answer;
            END LOOP;
        END;
    END LOOP;
    RETURN QUERY SELECT * FROM unnest(own);
    RETURN QUERY SELECT * FROM unnest(rated);
    RETURN QUERY SELECT * FROM unnest(refusals);
END
$$;
