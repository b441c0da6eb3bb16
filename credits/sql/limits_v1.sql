-- Counters that holds reserve against, of two kinds: an API key's own limit for life, and one window of a budget (rows with a
-- `budget_id`). A hold reserves against all of them in the statement that places it, under the account's lock; only those
-- that are hard can refuse it.
--
-- What a key's limit has spent is told by the ends of holds. What a window has spent is told by the usage events, for only
-- they know which model served and who used it (metering/sql/budgets_v1.sql); a hold that ends without an event is the only
-- record of its cost, and counts by itself.
--
-- The functions that follow are those of ledger_v1.sql and single_v1.sql, but for that; a lone hold against limits goes the
-- short way too.

-- Takes what `h` reserved out of its counters and adds what it came to where that is not told otherwise.
CREATE FUNCTION credits_end_limits(h credits_hold, amount numeric, limit_amount numeric, event uuid, p_at timestamptz)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    cost numeric := coalesce(limit_amount, amount);
BEGIN
    UPDATE credits_spendlimit s SET
        held = s.held - h.limit_amount,
        spent = s.spent + cost,
        excess = greatest(s.excess, s.spent + cost + s.held - h.limit_amount - s.ceiling)
    WHERE s.id = ANY (h.limit_ids) AND s.budget_id IS NULL;
    IF event IS NULL AND cost > 0 THEN
        UPDATE credits_spendlimit s SET held = s.held - h.limit_amount, spent = s.spent + cost, moved_at = p_at
        WHERE s.id = ANY (h.limit_ids) AND s.budget_id IS NOT NULL;
    ELSE
        UPDATE credits_spendlimit s SET held = s.held - h.limit_amount
        WHERE s.id = ANY (h.limit_ids) AND s.budget_id IS NOT NULL;
    END IF;
END
$$;

-- Places one new hold that the first lot covers, and every limit of it.
CREATE OR REPLACE FUNCTION credits_hold_one(r credits_request, p_at timestamptz)
RETURNS TABLE (ord integer, status text, hold_id uuid, balance numeric, held numeric, available numeric,
               limit_remaining numeric)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    a credits_creditaccount;
    f record;
BEGIN
    IF (r.amount >= 0 AND scale(r.amount) <= 12 AND r.key IS NOT NULL) IS NOT TRUE THEN
        RETURN;
    END IF;
    SELECT * INTO a FROM credits_creditaccount c WHERE c.id = r.account FOR NO KEY UPDATE;
    IF a.id IS NULL OR EXISTS (SELECT 1 FROM credits_hold h WHERE h.account_id = r.account AND h.key = r.key) THEN
        RETURN;
    END IF;
    f := credits_first_lot(a.id, p_at, greatest(p_at, a.last_posted_at));
    IF f.is_due OR f.room < r.amount THEN
        RETURN;
    END IF;
    IF r.limits <> '{}' THEN
        SELECT min(greatest(s.ceiling + s.excess - s.spent - s.held, 0)) INTO limit_remaining
        FROM credits_spendlimit s WHERE s.id = ANY (r.limits) AND s.is_hard;
        IF limit_remaining < r.limit_amount THEN
            RETURN;
        END IF;
        UPDATE credits_spendlimit s SET held = s.held + r.limit_amount WHERE s.id = ANY (r.limits);
        limit_remaining := limit_remaining - r.limit_amount;
    END IF;
    INSERT INTO credits_hold (
        id, account_id, amount, allocations, key, purpose, status, limit_ids, limit_amount, context, placed_at, expires_at)
    VALUES (r.id, a.id, r.amount, CASE WHEN r.amount = 0 THEN '[]' ELSE credits_line(f.lot, f.kind, r.amount) END,
            r.key, r.purpose, 'open', r.limits, r.limit_amount, r.context, p_at, r.expires_at);
    IF r.amount > 0 THEN
        UPDATE credits_lot l SET held = l.held + r.amount WHERE l.id = f.lot;
        a.held := a.held + r.amount;
        PERFORM credits_keep(a, a.balance - a.held + r.amount, p_at);
    END IF;
    ord := r.ord;
    status := 'placed';
    hold_id := r.id;
    balance := a.balance;
    held := a.held;
    available := f.free - r.amount - a.overage - a.overage_held;
    RETURN NEXT;
END
$$;

-- Settles one open hold, within its amount, that reserved of one lot at most.
CREATE OR REPLACE FUNCTION credits_settle_one(e credits_ending, p_at timestamptz)
RETURNS TABLE (ord integer, status text, hold_id uuid, entry_id uuid, charged numeric, balance numeric, held numeric,
               available numeric, excess numeric)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    a credits_creditaccount;
    h credits_hold;
    f record;
    line jsonb;
    moment timestamptz;
BEGIN
    SELECT * INTO a FROM credits_creditaccount c
    WHERE c.id = coalesce(e.account, (SELECT x.account_id FROM credits_hold x WHERE x.id = e.hold)) FOR NO KEY UPDATE;
    SELECT * INTO h FROM credits_hold x WHERE x.id = e.hold;
    IF (h.account_id = a.id AND h.status = 'open' AND NOT (e.api_only AND h.purpose <> 'api')
        AND e.amount >= 0 AND e.amount <= h.amount AND scale(e.amount) <= 12 AND a.overage_held = 0
        AND jsonb_array_length(h.allocations) <= 1) IS NOT TRUE THEN
        RETURN;
    END IF;
    moment := greatest(p_at, a.last_posted_at);
    f := credits_first_lot(a.id, p_at, moment);
    IF f.is_due OR EXISTS (SELECT 1 FROM credits_lot l WHERE l.account_id = a.id AND l.is_open AND l.held > 0
                           AND l.expires_at <= moment) THEN
        RETURN;
    END IF;
    line := h.allocations -> 0;
    a.held := a.held - h.amount;
    a.balance := a.balance - e.amount;
    UPDATE credits_hold x SET status = 'settled', ended_at = p_at, settled_amount = e.amount WHERE x.id = h.id;
    IF h.limit_ids <> '{}' THEN
        PERFORM credits_end_limits(h, e.amount, e.limit_amount, e.event, p_at);
    END IF;
    IF h.amount > 0 THEN
        UPDATE credits_lot l SET remaining = l.remaining - e.amount, held = l.held - h.amount
        WHERE l.id = (line ->> 'lot')::uuid;
    END IF;
    IF e.amount > 0 THEN
        a.entry_count := a.entry_count + 1;
        a.last_posted_at := moment;
        entry_id := e.id;
        INSERT INTO credits_ledgerentry (
            id, account_id, number, kind, amount, balance_after, allocations, reason, actor, key, request_hash, hold_id,
            event_id, effective_at, posted_at)
        VALUES (e.id, a.id, a.entry_count, 'charge', -e.amount, a.balance,
                credits_line((line ->> 'lot')::uuid, line ->> 'kind', -e.amount), e.reason, e.actor, 'hold:' || h.id, '', h.id,
                e.event, moment, moment);
    END IF;
    PERFORM credits_keep(a, a.balance + e.amount - a.held - h.amount, p_at);
    ord := e.ord;
    status := 'settled';
    hold_id := h.id;
    charged := e.amount;
    balance := a.balance;
    held := a.held;
    available := f.free + h.amount - e.amount - a.overage - a.overage_held;
    excess := 0;
    RETURN NEXT;
END
$$;

-- Item by item. `done`: accounts that are left out.
CREATE OR REPLACE FUNCTION credits_hold_each(requests credits_request[], done uuid[], p_at timestamptz)
RETURNS TABLE (ord integer, status text, hold_id uuid, balance numeric, held numeric, available numeric,
               limit_remaining numeric)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    batch uuid[] := ARRAY(SELECT DISTINCT r.account FROM unnest(requests) r WHERE r.account <> ALL (done));
    item record;
    moment timestamptz;  -- p_at, but never before the account's last entry: clocks differ between machines
    a credits_creditaccount;
    h credits_hold;
    lots credits_lot[];
    accounts_done credits_creditaccount[] := '{}';
    lots_done credits_lot[] := '{}';
    holds_done credits_hold[] := '{}';
    spendable numeric;
    rest numeric;
BEGIN
    FOR item IN
        WITH wallet AS MATERIALIZED (
            SELECT c AS account, c.id, credits_lots(c.id) AS lots FROM credits_creditaccount c WHERE c.id = ANY (batch)
        )
        SELECT t.*, w.id IS NOT NULL AS known, w.account AS wallet, w.lots, x AS earlier,
               row_number() OVER (PARTITION BY t.account, t.key ORDER BY t.ord) > 1 AS repeated
        FROM unnest(requests) t
        LEFT JOIN wallet w ON w.id = t.account
        LEFT JOIN credits_hold x ON x.account_id = t.account AND x.key = t.key
        WHERE t.account IS NULL OR t.account <> ALL (done)
        ORDER BY t.account, t.ord
    LOOP
        ord := item.ord;
        hold_id := NULL;
        limit_remaining := NULL;
        IF NOT item.known THEN
            status := 'no_account';
            balance := NULL; held := NULL; available := NULL;  -- not those of the account before
            RETURN NEXT;
            CONTINUE;
        END IF;
        IF a.id IS DISTINCT FROM item.account THEN
            IF a.id IS NOT NULL THEN
                accounts_done := accounts_done || a;
                lots_done := lots_done || lots;
            END IF;
            a := item.wallet;
            moment := greatest(p_at, a.last_posted_at);
            lots := item.lots;
            spendable := credits_spendable(lots, moment);
        END IF;
        h := item.earlier;
        IF item.repeated AND h.id IS NULL THEN
            SELECT * INTO h FROM unnest(holds_done) d WHERE d.account_id = item.account AND d.key = item.key;
        END IF;
        IF item.limits <> '{}' THEN
            SELECT min(greatest(s.ceiling + s.excess - s.spent - s.held, 0)) INTO limit_remaining
            FROM credits_spendlimit s WHERE s.id = ANY (item.limits) AND s.is_hard;
        END IF;
        IF h.id IS NOT NULL THEN
            status := CASE WHEN h.amount = item.amount THEN 'replayed' ELSE 'key_reused' END;
            hold_id := h.id;
        ELSIF limit_remaining < item.limit_amount THEN
            status := 'limit_exceeded';
        ELSIF item.amount > 0 AND item.amount > spendable + credits_overage_room(a) THEN
            status := 'insufficient';
        ELSE
            status := 'placed';
            hold_id := item.id;
            h := NULL;
            h.allocations := '[]';
            IF item.amount > 0 THEN
                SELECT b.lots, b.taken, b.rest INTO lots, h.allocations, rest
                FROM credits_burn(lots, item.amount, moment, true) b;
                spendable := spendable - (item.amount - rest);
                IF rest > 0 THEN
                    a.overage_held := a.overage_held + rest;
                    h.allocations := h.allocations || credits_overage_line(rest);
                END IF;
                a.held := a.held + item.amount;
            END IF;
            h.id := item.id;
            h.account_id := a.id;
            h.amount := item.amount;
            h.key := item.key;
            h.purpose := item.purpose;
            h.status := 'open';
            h.limit_ids := item.limits;
            h.limit_amount := item.limit_amount;
            h.context := item.context;
            h.placed_at := p_at;
            h.expires_at := item.expires_at;
            holds_done := holds_done || h;
            IF item.limits <> '{}' THEN
                UPDATE credits_spendlimit s SET held = s.held + item.limit_amount WHERE s.id = ANY (item.limits);
                limit_remaining := limit_remaining - item.limit_amount;
            END IF;
        END IF;
        balance := a.balance;
        held := a.held;
        available := spendable - a.overage - a.overage_held;
        RETURN NEXT;
    END LOOP;
    IF a.id IS NOT NULL THEN
        INSERT INTO credits_hold SELECT * FROM unnest(holds_done);
        PERFORM credits_store(accounts_done || a, lots_done || lots, p_at);
    END IF;
END
$$;

-- Item by item. `done`: accounts that are left out.
CREATE OR REPLACE FUNCTION credits_end_each(endings credits_ending[], done uuid[], p_at timestamptz, p_outcome text)
RETURNS TABLE (ord integer, status text, hold_id uuid, entry_id uuid, charged numeric, balance numeric, held numeric,
               available numeric, excess numeric)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    batch uuid[] := ARRAY(
        SELECT DISTINCT x.account_id FROM unnest(endings) e JOIN credits_hold x ON x.id = e.hold
        WHERE x.account_id <> ALL (done));
    item record;
    moment timestamptz;  -- p_at, but never before the account's last entry: clocks differ between machines
    line record;
    posted record;
    a credits_creditaccount;
    h credits_hold;
    e credits_ledgerentry;
    lots credits_lot[];
    accounts_done credits_creditaccount[] := '{}';
    lots_done credits_lot[] := '{}';
    holds_done credits_hold[] := '{}';
    entries_done credits_ledgerentry[] := '{}';
    stale uuid[] := '{}';
    taken jsonb;
    more jsonb;
    rest numeric;
    part numeric;
    below numeric;
BEGIN
    FOR item IN
        WITH wallet AS MATERIALIZED (
            SELECT c AS account, c.id, credits_lots(c.id) AS lots FROM credits_creditaccount c WHERE c.id = ANY (batch)
        )
        SELECT t.*, w.account AS wallet, w.lots, x AS found, x.account_id,
               row_number() OVER (PARTITION BY t.hold ORDER BY t.ord) > 1 AS repeated
        FROM unnest(endings) t
        LEFT JOIN credits_hold x ON x.id = t.hold AND (t.account IS NULL OR t.account = x.account_id)
                                 AND NOT (t.api_only AND x.purpose <> 'api')
        LEFT JOIN wallet w ON w.id = x.account_id
        WHERE x.account_id IS NULL OR x.account_id <> ALL (done)
        ORDER BY x.account_id, t.ord
    LOOP
        ord := item.ord;
        hold_id := item.hold;
        entry_id := NULL;
        charged := NULL;
        excess := 0;
        IF item.account_id IS NULL THEN
            status := 'unknown_hold';
            balance := NULL;
            held := NULL;
            available := NULL;
            RETURN NEXT;
            CONTINUE;
        END IF;
        IF a.id IS DISTINCT FROM item.account_id THEN
            IF a.id IS NOT NULL THEN
                accounts_done := accounts_done || a;
                lots_done := lots_done || lots;
            END IF;
            a := item.wallet;
            moment := greatest(p_at, a.last_posted_at);
            lots := item.lots;
        END IF;
        h := item.found;
        IF item.repeated THEN
            SELECT * INTO h FROM unnest(holds_done) d WHERE d.id = item.hold;
            IF h.id IS NULL THEN h := item.found; END IF;
        END IF;
        IF h.status <> 'open' THEN
            charged := h.settled_amount;
            SELECT y.id INTO entry_id FROM credits_ledgerentry y WHERE y.account_id = a.id AND y.key = 'hold:' || h.id;
            IF item.repeated AND entry_id IS NULL THEN
                SELECT y.id INTO entry_id FROM unnest(entries_done) y WHERE y.hold_id = h.id;
            END IF;
            status := CASE WHEN h.status <> p_outcome THEN 'not_open'
                           WHEN p_outcome = 'settled' AND h.settled_amount <> item.amount THEN 'amount_differs'
                           ELSE 'replayed' END;
        ELSE
            rest := item.amount;
            taken := '[]';
            FOR line IN SELECT r.lot, r.amount FROM jsonb_to_recordset(h.allocations) AS r (lot uuid, amount numeric) LOOP
                part := least(rest, line.amount);
                rest := rest - part;
                IF line.lot IS NULL THEN
                    a.overage_held := a.overage_held - line.amount;
                    a.overage := a.overage + part;
                    a.excess := greatest(a.overage + a.overage_held - a.overage_limit, 0);
                    IF part > 0 THEN taken := taken || credits_overage_line(-part); END IF;
                ELSE
                    FOR i IN 1 .. cardinality(lots) LOOP
                        CONTINUE WHEN lots[i].id <> line.lot;
                        lots[i].held := lots[i].held - line.amount;
                        lots[i].remaining := lots[i].remaining - part;
                        IF lots[i].expires_at <= moment AND lots[i].remaining > lots[i].held THEN
                            stale := stale || a.id;
                        END IF;
                        IF part > 0 THEN
                            taken := taken || jsonb_build_object('lot', line.lot, 'kind', lots[i].kind,
                                                                 'amount', credits_text(-part));
                        END IF;
                        EXIT;
                    END LOOP;
                END IF;
            END LOOP;
            a.held := a.held - h.amount;
            IF rest > 0 THEN  -- billed above the hold
                SELECT b.lots, b.taken, b.rest INTO lots, more, below FROM credits_burn(lots, rest, moment, false) b;
                taken := taken || more;
                IF below > 0 THEN
                    a.overage := a.overage + below;
                    taken := taken || credits_overage_line(-below);
                    excess := greatest(a.overage + a.overage_held - a.overage_limit - a.excess, 0);
                    a.excess := a.excess + excess;
                END IF;
            END IF;
            IF item.amount > 0 THEN
                e := NULL;
                e.id := item.id;
                e.kind := 'charge';
                e.amount := -item.amount;
                e.allocations := taken;
                e.reason := item.reason;
                e.actor := item.actor;
                e.key := 'hold:' || h.id;
                e.hold_id := h.id;
                e.event_id := item.event;
                posted := credits_entry(a, e, p_at);
                a := posted.a;
                e := posted.e;
                entries_done := entries_done || e;
                entry_id := e.id;
            END IF;
            status := p_outcome;
            charged := item.amount;
            IF h.limit_ids <> '{}' THEN
                PERFORM credits_end_limits(h, item.amount, item.limit_amount, item.event, p_at);
            END IF;
            h.status := p_outcome;
            h.ended_at := p_at;
            h.settled_amount := CASE p_outcome WHEN 'settled' THEN item.amount END;
            holds_done := holds_done || h;
        END IF;
        balance := a.balance;
        held := a.held;
        available := credits_spendable(lots, moment) - a.overage - a.overage_held;
        RETURN NEXT;
    END LOOP;
    IF a.id IS NULL THEN RETURN; END IF;
    INSERT INTO credits_ledgerentry SELECT * FROM unnest(entries_done);
    UPDATE credits_hold t SET status = d.status, ended_at = d.ended_at, settled_amount = d.settled_amount
    FROM unnest(holds_done) d WHERE t.id = d.id;
    PERFORM credits_store(accounts_done || a, lots_done || lots, p_at);
    -- what a lot that has expired meanwhile got back is gone at once
    PERFORM credits_sweep(s, p_at) FROM (SELECT DISTINCT unnest(stale) AS s) d;
END
$$;
