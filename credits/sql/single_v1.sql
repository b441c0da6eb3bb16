-- One item on its own, the usual case of a process with little to do: a lone hold, settlement or spend that concerns one lot
-- is worked out in a few plain statements, which cost less than the one that does any number at once
-- (certain_v1.sql). These functions give, to the digit, what that statement gives; they answer no row, and have moved
-- nothing, where anything is not as plain as that: then the other ways are taken.

-- What the lots of an account have to spend at `moment`: `free` in all, `room` in the first `lot` in burn order. `is_due`:
-- something has run out by `at` and must be swept first.
CREATE FUNCTION credits_first_lot(account uuid, at timestamptz, moment timestamptz,
                                  OUT lot uuid, OUT kind text, OUT room numeric, OUT free numeric, OUT is_due boolean)
LANGUAGE plpgsql AS $$
DECLARE
    l record;
BEGIN
    room := 0;
    free := 0;
    is_due := EXISTS (SELECT 1 FROM credits_hold h WHERE h.account_id = account AND h.status = 'open' AND h.purpose = 'api'
                      AND h.expires_at <= at);
    FOR l IN
        SELECT x.id, x.kind, x.remaining - x.held AS free, x.effective_at, x.expires_at FROM credits_lot x
        WHERE x.account_id = account AND x.is_open
        ORDER BY x.priority, x.expires_at NULLS LAST, x.created_at, x.id
    LOOP
        CONTINUE WHEN l.free = 0;
        is_due := is_due OR coalesce(l.expires_at <= at, false);
        CONTINUE WHEN l.effective_at > moment OR l.expires_at <= moment;
        IF lot IS NULL THEN
            lot := l.id;
            kind := l.kind;
            room := l.free;
        END IF;
        free := free + l.free;
    END LOOP;
END
$$;

-- Writes an account's new figures and tells if that is news; `a` has them, `before` is what was available.
CREATE FUNCTION credits_keep(a credits_creditaccount, before numeric, at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    news text := credits_news(before, a.balance - a.held, a.low_balance_at);
BEGIN
    UPDATE credits_creditaccount c SET
        balance = a.balance, held = a.held, entry_count = a.entry_count, last_posted_at = a.last_posted_at
    WHERE c.id = a.id;
    IF news IS NOT NULL THEN
        PERFORM credits_announce(a, news, at);
    END IF;
END
$$;

CREATE FUNCTION credits_line(lot uuid, kind text, amount numeric) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_build_array(jsonb_build_object('lot', lot, 'kind', kind, 'amount', credits_text(amount)))
$$;

-- Places one new hold that the first lot covers.
CREATE FUNCTION credits_hold_one(r credits_request, p_at timestamptz)
RETURNS TABLE (ord integer, status text, hold_id uuid, balance numeric, held numeric, available numeric,
               limit_remaining numeric)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    a credits_creditaccount;
    f record;
BEGIN
    IF (r.amount >= 0 AND scale(r.amount) <= 12 AND r.limits = '{}' AND r.key IS NOT NULL) IS NOT TRUE THEN
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
CREATE FUNCTION credits_settle_one(e credits_ending, p_at timestamptz)
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
    IF (h.account_id = a.id AND h.status = 'open' AND NOT (e.api_only AND h.purpose <> 'api') AND h.limit_ids = '{}'
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

-- Posts one new spend that the first lot covers.
CREATE FUNCTION credits_spend_one(i credits_item, p_at timestamptz)
RETURNS TABLE (ord integer, status text, entry_id uuid, balance numeric, held numeric, available numeric)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    a credits_creditaccount;
    f record;
BEGIN
    IF (i.type = 'spend' AND i.amount > 0 AND scale(i.amount) <= 12 AND i.limits = '{}') IS NOT TRUE THEN
        RETURN;
    END IF;
    SELECT * INTO a FROM credits_creditaccount c WHERE c.id = i.account FOR NO KEY UPDATE;
    IF a.id IS NULL OR EXISTS (SELECT 1 FROM credits_ledgerentry x WHERE x.account_id = i.account AND x.key = i.key) THEN
        RETURN;
    END IF;
    f := credits_first_lot(a.id, p_at, greatest(p_at, a.last_posted_at));
    IF f.is_due OR f.room < i.amount THEN
        RETURN;
    END IF;
    a.balance := a.balance - i.amount;
    a.entry_count := a.entry_count + 1;
    a.last_posted_at := greatest(p_at, a.last_posted_at);
    INSERT INTO credits_ledgerentry (
        id, account_id, number, kind, amount, balance_after, allocations, reason, actor, key, request_hash, event_id,
        effective_at, posted_at)
    VALUES (i.id, a.id, a.entry_count, i.kind, -i.amount, a.balance, credits_line(f.lot, f.kind, -i.amount), i.reason, i.actor,
            i.key, i.request_hash, i.event, a.last_posted_at, a.last_posted_at);
    UPDATE credits_lot l SET remaining = l.remaining - i.amount WHERE l.id = f.lot;
    PERFORM credits_keep(a, a.balance + i.amount - a.held, p_at);
    ord := i.ord;
    status := 'posted';
    entry_id := i.id;
    balance := a.balance;
    held := a.held;
    available := f.free - i.amount - a.overage - a.overage_held;
    RETURN NEXT;
END
$$;

-- As in ledger_v1.sql, with the short way for one item first.
CREATE OR REPLACE FUNCTION place_holds(p_items jsonb, p_at timestamptz)
RETURNS TABLE (ord integer, status text, hold_id uuid, balance numeric, held numeric, available numeric,
               limit_remaining numeric)
LANGUAGE plpgsql SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    requests credits_request[];
    batch uuid[];
    certain uuid[];
BEGIN
    SELECT array_agg(ROW(t.ord, t.account, t.id, t.amount, t.key, t.purpose, t.expires_at, coalesce(t.context, '{}'),
                         coalesce(t.limits, '{}'), coalesce(t.limit_amount, 0))::credits_request),
           array_agg(DISTINCT t.account)
    INTO requests, batch
    FROM ROWS FROM (jsonb_to_recordset(p_items) AS (
            account uuid, id uuid, amount numeric, key text, purpose text, expires_at timestamptz, context jsonb,
            limits uuid[], limit_amount numeric)) WITH ORDINALITY
         AS t (account, id, amount, key, purpose, expires_at, context, limits, limit_amount, ord);
    IF cardinality(requests) = 1 THEN
        RETURN QUERY SELECT * FROM credits_hold_one(requests[1], p_at);
        IF FOUND THEN
            RETURN;
        END IF;
    END IF;
    PERFORM credits_begin(batch, p_at);
    certain := credits_can_hold(requests, p_at);
    IF certain <> '{}' THEN
        RETURN QUERY SELECT * FROM credits_reserve(requests, certain, p_at);
    END IF;
    IF cardinality(certain) < cardinality(batch) THEN
        RETURN QUERY SELECT * FROM credits_hold_each(requests, certain, p_at);
    END IF;
END
$$;

CREATE OR REPLACE FUNCTION credits_end(endings credits_ending[], p_at timestamptz, p_outcome text)
RETURNS TABLE (ord integer, status text, hold_id uuid, entry_id uuid, charged numeric, balance numeric, held numeric,
               available numeric, excess numeric)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    batch uuid[];
    certain uuid[] := '{}';
    answered bigint := 0;
BEGIN
    IF p_outcome = 'settled' AND cardinality(endings) = 1 THEN
        RETURN QUERY SELECT * FROM credits_settle_one(endings[1], p_at);
        IF FOUND THEN
            RETURN;
        END IF;
    END IF;
    batch := ARRAY(
        SELECT DISTINCT coalesce(e.account, (SELECT h.account_id FROM credits_hold h WHERE h.id = e.hold))
        FROM unnest(endings) e);
    IF p_outcome = 'expired' THEN
        PERFORM credits_lock(batch);  -- called by the sweep itself
    ELSE
        PERFORM credits_begin(batch, p_at);
    END IF;
    IF p_outcome = 'settled' THEN
        certain := credits_can_settle(endings, p_at);
        IF certain <> '{}' THEN
            RETURN QUERY SELECT * FROM credits_settle(endings, certain, p_at);
            GET DIAGNOSTICS answered = ROW_COUNT;
        END IF;
    END IF;
    IF answered < cardinality(endings) THEN  -- not by accounts: an unknown hold may name one whose others are certain
        RETURN QUERY SELECT * FROM credits_end_each(endings, certain, p_at, p_outcome);
    END IF;
END
$$;

CREATE OR REPLACE FUNCTION credits_post(items credits_item[], bodies jsonb, p_at timestamptz)
RETURNS TABLE (ord integer, status text, entry_id uuid, balance numeric, held numeric, available numeric)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    batch uuid[];
    certain uuid[];
BEGIN
    IF cardinality(items) = 1 THEN
        RETURN QUERY SELECT * FROM credits_spend_one(items[1], p_at);
        IF FOUND THEN
            RETURN;
        END IF;
    END IF;
    batch := ARRAY(SELECT DISTINCT i.account FROM unnest(items) i);
    PERFORM credits_begin(batch, p_at);
    certain := credits_can_pay(items, p_at);
    IF certain <> '{}' THEN
        RETURN QUERY SELECT * FROM credits_spend(items, certain, p_at);
    END IF;
    IF cardinality(certain) < cardinality(batch) THEN
        RETURN QUERY SELECT * FROM credits_post_each(items, certain, bodies, p_at);
    END IF;
END
$$;
