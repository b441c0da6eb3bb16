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

-- Counters of the periods that organizations are in, for the meters that events hit; those that are not there yet are made.
CREATE FUNCTION metering_open_counters(events metering_report[]) RETURNS SETOF metering_meteredcounter LANGUAGE sql AS $$
    INSERT INTO metering_meteredcounter (
        id, organization_id, subscription_id, period_index, meter_id, meter_name, mode, price, starts_at, ends_at, quantity,
        amount, charged, owed)
    SELECT farebox_uuid7(), s.organization_id, s.id, s.period_index, (p ->> 'meter')::uuid, p ->> 'name', p ->> 'mode',
           p -> 'price', s.period_starts_at, s.period_ends_at, 0, 0, 0, 0
    FROM (SELECT DISTINCT e.organization_id, h ->> 'meter' AS meter
          FROM unnest(events) e, jsonb_array_elements(e.metered) h) hit
    JOIN tiers_subscription s ON s.organization_id = hit.organization_id AND s.ended_at IS NULL
    JOIN tiers_tier t ON t.id = s.tier_id
    CROSS JOIN jsonb_array_elements(t.metered_prices) p
    WHERE p ->> 'meter' = hit.meter
    ORDER BY s.organization_id, hit.meter
    ON CONFLICT DO NOTHING;
    SELECT c.*
    FROM tiers_subscription s
    JOIN metering_meteredcounter c ON c.organization_id = s.organization_id AND c.subscription_id = s.id
                                   AND c.period_index = s.period_index
    WHERE s.organization_id IN (SELECT e.organization_id FROM unnest(events) e WHERE e.metered IS NOT NULL)
          AND s.ended_at IS NULL
    ORDER BY c.organization_id, c.meter_id
    FOR NO KEY UPDATE OF c
$$;

-- Prices what events that are not `refused` add to meters, and charges it. Answers the places that credit does not cover,
-- and each after it that adds to the same meter: then the caller undoes everything and leaves those out. What a call through
-- the gateway, or with a hold, costs beyond that is owed instead: it has been made.
CREATE FUNCTION metering_rate(events metering_report[], refused text[], p_at timestamptz)
RETURNS TABLE (place integer, event_id uuid, status text, entry_id uuid, charged numeric, balance numeric, held numeric,
               available numeric, excess numeric)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    seed text := farebox_uuid7();
    counters metering_meteredcounter[] := ARRAY(SELECT c FROM metering_open_counters(events) c);
    c metering_meteredcounter;
    m metering_meteredcharge;
    steps metering_meteredcharge[] := '{}';
    items credits_item[] := '{}';
    backs metering_meteredcharge[] := '{}';
    places integer[] := '{}';  -- of the event, by step
    forced boolean[] := '{}';
    hit record;
    paid record;
    before numeric;
BEGIN
    FOR i IN 1 .. cardinality(counters) LOOP
        c := counters[i];
        FOR hit IN
            SELECT e.ordinality::integer AS place, e.id, (h ->> 'value')::numeric AS value, e.actor, e.limit_ids,
                   e.source = 'gateway' OR e.hold_id IS NOT NULL AS is_forced
            FROM unnest(events) WITH ORDINALITY AS e, jsonb_array_elements(e.metered) h
            WHERE e.organization_id = c.organization_id AND h ->> 'meter' = c.meter_id::text
                  AND (refused = '{}' OR refused[e.ordinality] IS NULL)
            ORDER BY e.ordinality
        LOOP
            before := c.amount;
            m := ROW(farebox_uuid7_of(seed, cardinality(steps) + 1), c.organization_id, c.id, hit.id, 'use', hit.value,
                     c.quantity, 0, 0, NULL, p_at);
            c.quantity := c.quantity + hit.value;
            c.amount := metering_round(metering_running_price(c.quantity, c.price));
            m.amount := c.amount - before;
            IF c.mode = 'priced' THEN
                m.owed := m.amount;
                c.owed := c.owed + m.amount;
            ELSIF m.amount > 0 THEN
                m.entry_id := farebox_uuid7_of(seed, 524288 + cardinality(steps) + 1);
                c.charged := c.charged + m.amount;
                items := items || ROW(cardinality(steps) + 1, m.entry_id, c.organization_id, 'spend', 'charge', m.amount,
                                      'metered:' || m.id, '', left('Usage: ' || c.meter_name, 300), left(hit.actor, 120),
                                      hit.id, true, hit.limit_ids)::credits_item;
            ELSIF m.amount < 0 THEN
                c.charged := c.charged + m.amount;
                backs := backs || m;
            END IF;
            steps := steps || m;
            places := places || hit.place;
            forced := forced || hit.is_forced;
        END LOOP;
        counters[i] := c;
    END LOOP;
    IF items <> '{}' THEN
        FOR paid IN SELECT p.* FROM credits_post(items, NULL, p_at) p LOOP
            IF paid.status = 'posted' THEN
                RETURN QUERY SELECT places[paid.ord], steps[paid.ord].event_id, 'recorded', NULL::uuid,
                                    steps[paid.ord].amount, paid.balance, paid.held, paid.available, 0::numeric;
            ELSIF forced[paid.ord] THEN
                m := steps[paid.ord];
                m.entry_id := NULL;
                m.owed := m.amount;
                steps[paid.ord] := m;
                counters := metering_owe(counters, m.counter_id, m.amount);
            ELSE  -- it, and all that was counted on top of it
                RETURN QUERY
                SELECT places[o], steps[o].event_id, paid.status, NULL::uuid, NULL::numeric, paid.balance, paid.held,
                       paid.available, 0::numeric
                FROM generate_series(paid.ord, cardinality(steps)) o
                WHERE steps[o].counter_id = steps[paid.ord].counter_id AND NOT forced[o];
            END IF;
        END LOOP;
    END IF;
    INSERT INTO metering_meteredcharge SELECT * FROM unnest(steps);
    UPDATE metering_meteredcounter t SET quantity = s.quantity, amount = s.amount, charged = s.charged, owed = s.owed
    FROM unnest(counters) s WHERE t.id = s.id;
    FOREACH m IN ARRAY backs LOOP
        PERFORM metering_give_back(m.organization_id, m.counter_id, -m.amount, m.event_id, m.id, p_at);
    END LOOP;
END
$$;

-- What credits did not pay of one of `counters` is owed.
CREATE FUNCTION metering_owe(counters metering_meteredcounter[], counter uuid, amount numeric)
RETURNS metering_meteredcounter[] LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    c metering_meteredcounter;
BEGIN
    FOR i IN 1 .. cardinality(counters) LOOP
        c := counters[i];
        IF c.id = counter THEN
            c.charged := c.charged - amount;
            c.owed := c.owed + amount;
            counters[i] := c;
        END IF;
    END LOOP;
    RETURN counters;
END
$$;

-- Returns `amount` of what a counter has charged: to the lots that paid its latest charges; what none of them has left to give
-- back comes off what is owed. The counter's `charged` is already without it.
CREATE FUNCTION metering_give_back(organization uuid, counter uuid, amount numeric, event uuid, step uuid, p_at timestamptz)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    paid record;
    rest numeric := amount;
    part numeric;
    answered text;
BEGIN
    FOR paid IN
        SELECT m.entry_id, -e.amount - coalesce((SELECT sum(r.amount) FROM credits_ledgerentry r
                                                 WHERE r.account_id = organization AND r.reverses_id = e.id), 0) AS remaining
        FROM metering_meteredcharge m
        JOIN credits_ledgerentry e ON e.account_id = organization AND e.id = m.entry_id
        WHERE m.counter_id = counter AND m.entry_id IS NOT NULL
        ORDER BY m.id DESC
    LOOP
        EXIT WHEN rest = 0;
        part := least(rest, paid.remaining);
        CONTINUE WHEN part <= 0;
        SELECT p.status INTO answered FROM post_entries(jsonb_build_array(jsonb_build_object(
            'account', organization, 'type', 'refund', 'kind', 'reversal', 'entry', paid.entry_id, 'amount', part,
            'key', 'metered-back:' || step || ':' || paid.entry_id, 'reason', 'Usage taken back', 'actor', 'metering',
            'event', event, 'lot', farebox_uuid7(), 'priority', 40)), p_at) p;
        IF answered <> 'posted' THEN
            RAISE EXCEPTION 'metered charge % could not be given back: %', paid.entry_id, answered;
        END IF;
        rest := rest - part;
    END LOOP;
    IF rest > 0 THEN
        UPDATE metering_meteredcounter SET charged = charged + rest, owed = owed - rest WHERE id = counter;
    END IF;
END
$$;

-- Takes out of the counters what events that are void now had added, and gives back or charges the difference in price. What
-- credit does not cover of a price that rises by it is owed.
CREATE FUNCTION metering_unrate(organizations uuid[], ids uuid[], p_at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    used record;
    c metering_meteredcounter;
    m metering_meteredcharge;
    difference numeric;
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
        SELECT * INTO c FROM metering_meteredcounter WHERE id = used.counter_id FOR NO KEY UPDATE;
        m := ROW(farebox_uuid7(), c.organization_id, c.id, used.event_id, 'void', -used.quantity, c.quantity, 0, 0, NULL, p_at);
        c.quantity := c.quantity - used.quantity;
        -- a period that is closed has had its minimum already
        difference := greatest(metering_round(metering_running_price(c.quantity, c.price)),
                               CASE WHEN metering_is_closed(c) THEN metering_round(metering_number(c.price, 'minimum')) ELSE 0 END)
                      - c.amount;
        m.amount := difference;
        c.amount := c.amount + difference;
        IF c.mode = 'priced' THEN
            m.owed := difference;
        ELSIF difference > 0 THEN
            SELECT p.* INTO paid FROM credits_post(ARRAY[ROW(
                1, farebox_uuid7(), c.organization_id, 'spend', 'charge', difference, 'metered:' || m.id, '',
                left('Usage: ' || c.meter_name, 300), 'metering', used.event_id, true, '{}'::uuid[])::credits_item], NULL, p_at) p;
            IF paid.status = 'posted' THEN
                m.entry_id := paid.entry_id;
            ELSE
                m.owed := difference;
            END IF;
        END IF;
        c.owed := c.owed + m.owed;
        c.charged := c.charged + difference - m.owed;
        INSERT INTO metering_meteredcharge SELECT (m).*;
        UPDATE metering_meteredcounter SET quantity = c.quantity, amount = c.amount, charged = c.charged, owed = c.owed
        WHERE id = c.id;
        IF c.mode = 'credits' AND difference < 0 THEN
            PERFORM metering_give_back(c.organization_id, c.id, -difference, used.event_id, m.id, p_at);
        END IF;
    END LOOP;
END
$$;

-- Whether the counter's period is over: its minimum was noted, if it has one.
CREATE FUNCTION metering_is_closed(c metering_meteredcounter) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT 1 FROM metering_meteredcharge m WHERE m.counter_id = c.id AND m.cause = 'minimum')
$$;

-- Closes periods, before the next begin: [{organization_id, subscription_id, period_index, tier_id, starts_at, ends_at}]. What
-- a minimum asks for beyond what was used is owed. Answers what each organization owes over all its periods, USD, by place.
CREATE FUNCTION metering_close_periods(p_items jsonb, p_at timestamptz) RETURNS TABLE (ord integer, owed numeric)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    PERFORM credits_lock(ARRAY(SELECT (i ->> 'organization_id')::uuid FROM jsonb_array_elements(p_items) i));
    INSERT INTO metering_meteredcounter (
        id, organization_id, subscription_id, period_index, meter_id, meter_name, mode, price, starts_at, ends_at, quantity,
        amount, charged, owed)
    SELECT farebox_uuid7(), i.organization_id, i.subscription_id, i.period_index, (p ->> 'meter')::uuid, p ->> 'name',
           p ->> 'mode', p -> 'price', i.starts_at, i.ends_at, 0, 0, 0, 0
    FROM jsonb_to_recordset(p_items) AS i (organization_id uuid, subscription_id uuid, period_index integer, tier_id uuid,
                                           starts_at timestamptz, ends_at timestamptz)
    JOIN tiers_tier t ON t.id = i.tier_id
    CROSS JOIN jsonb_array_elements(t.metered_prices) p
    WHERE metering_number(p -> 'price', 'minimum') > 0
    ORDER BY i.organization_id, p ->> 'meter'
    ON CONFLICT DO NOTHING;
    WITH short AS (
        SELECT c.id, c.organization_id, c.quantity,
               greatest(metering_round(metering_number(c.price, 'minimum')) - c.amount, 0) AS amount
        FROM metering_meteredcounter c
        JOIN jsonb_to_recordset(p_items) AS i (organization_id uuid, subscription_id uuid, period_index integer)
            ON c.organization_id = i.organization_id AND c.subscription_id = i.subscription_id
               AND c.period_index = i.period_index
        WHERE metering_number(c.price, 'minimum') > 0 AND NOT metering_is_closed(c)
        ORDER BY c.organization_id, c.meter_id
        FOR NO KEY UPDATE OF c
    ), noted AS (
        INSERT INTO metering_meteredcharge (
            id, organization_id, counter_id, event_id, cause, quantity, before, amount, owed, entry_id, created_at)
        SELECT farebox_uuid7(), s.organization_id, s.id, NULL, 'minimum', 0, s.quantity, s.amount, s.amount, NULL, p_at
        FROM short s
    )
    UPDATE metering_meteredcounter c SET amount = c.amount + s.amount, owed = c.owed + s.amount
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
