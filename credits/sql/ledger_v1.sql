-- The ledger's engine. Every function takes a batch, answers each item separately and runs in the caller's transaction.
--
-- Locks: the account row (ids ascending) is the mutex of all that belongs to the account; lots, holds and spend limits
-- are only written under it. Lots are then written by id.
-- Money is numeric(24, 12) USD and arrives already rounded.
-- READ COMMITTED is assumed: each statement after the lock sees what the previous holder of the lock committed.

-- A movement of one account as post_entries takes it; `id` is the entry's, if one is posted.
CREATE TYPE credits_item AS (
    ord integer, id uuid, account uuid, type text, kind text, amount numeric, key text, request_hash text, reason text,
    actor text, event uuid, overage boolean, limits uuid[]
);

-- A hold as place_holds takes it.
CREATE TYPE credits_request AS (
    ord integer, account uuid, id uuid, amount numeric, key text, purpose text, expires_at timestamptz, context jsonb,
    limits uuid[], limit_amount numeric
);

-- The end of a hold as settle_holds takes it; `id` is the entry's, if one is posted. `account` says whose hold it must be
-- (null: anybody's), `api_only` that it may not be a gateway call's.
CREATE TYPE credits_ending AS (
    ord integer, id uuid, hold uuid, amount numeric, limit_amount numeric, event uuid, reason text, actor text, account uuid,
    api_only boolean
);

CREATE FUNCTION farebox_uuid7() RETURNS uuid LANGUAGE sql VOLATILE AS $$
    -- RFC 9562: 48 bits of Unix milliseconds over a random version-4 value, then the version digit
    SELECT encode(
        set_bit(set_bit(
            overlay(uuid_send(gen_random_uuid())
                    PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3)
                    FROM 1 FOR 6),
            52, 1), 53, 1),
        'hex')::uuid
$$;

-- The n-th id of a statement: `seed` is a farebox_uuid7() as text, whose last 20 bits give way to `n`. A random id for each
-- row would cost as much as storing the row, and ids in order are cheaper to index.
CREATE FUNCTION farebox_uuid7_of(seed text, n integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (left(seed, 31) || lpad(to_hex(n), 5, '0'))::uuid
$$;

CREATE FUNCTION credits_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'ledger entries are append-only: post a reversal instead'
        USING ERRCODE = 'integrity_constraint_violation';
END
$$;

CREATE TRIGGER ledger_is_append_only BEFORE UPDATE OR DELETE ON credits_ledgerentry
    FOR EACH ROW EXECUTE FUNCTION credits_refuse_change();
CREATE TRIGGER ledger_is_never_truncated BEFORE TRUNCATE ON credits_ledgerentry
    FOR EACH STATEMENT EXECUTE FUNCTION credits_refuse_change();

-- Entries and holds have no foreign key to their account: its check would cost as much as storing the row. Whoever inserts
-- them holds the account's lock, so the account is there; this keeps it there.
CREATE FUNCTION credits_keep_account() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM credits_ledgerentry e WHERE e.account_id = OLD.id)
       OR EXISTS (SELECT 1 FROM credits_hold h WHERE h.account_id = OLD.id) THEN
        RAISE EXCEPTION 'account % has entries or holds', OLD.id USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN OLD;
END
$$;

CREATE TRIGGER account_with_entries_stays BEFORE DELETE ON credits_creditaccount
    FOR EACH ROW EXECUTE FUNCTION credits_keep_account();

-- Plain decimal text without trailing zeros, as amounts are written in JSON.
CREATE FUNCTION credits_text(amount numeric) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT trim_scale(amount)::text
$$;

CREATE FUNCTION credits_lock(accounts uuid[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM credits_creditaccount WHERE id = ANY (accounts) ORDER BY id FOR NO KEY UPDATE;
END
$$;

-- Lots with anything left, in burn order: priority, earliest expiry, age.
CREATE FUNCTION credits_lots(account uuid) RETURNS credits_lot[] LANGUAGE sql STABLE AS $$
    SELECT coalesce(array_agg(l ORDER BY l.priority, l.expires_at NULLS LAST, l.created_at, l.id), '{}')
    FROM credits_lot l WHERE l.account_id = account AND l.is_open
$$;

CREATE FUNCTION credits_is_spendable(lot credits_lot, at timestamptz) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT lot.remaining > lot.held AND lot.effective_at <= at AND (lot.expires_at IS NULL OR lot.expires_at > at)
$$;

-- What may still be claimed: free credit that counts at `at`, and the room left below zero.
CREATE FUNCTION credits_spendable(lots credits_lot[], at timestamptz) RETURNS numeric LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(sum(l.remaining - l.held), 0) FROM unnest(lots) l WHERE credits_is_spendable(l, at)
$$;

CREATE FUNCTION credits_overage_room(a credits_creditaccount) RETURNS numeric LANGUAGE sql IMMUTABLE AS $$
    SELECT greatest(a.overage_limit - a.overage - a.overage_held, 0)
$$;

-- Takes up to `amount` from spendable lots in burn order: reserves it, or spends it. `taken` lists the lots.
CREATE FUNCTION credits_burn(INOUT lots credits_lot[], amount numeric, at timestamptz, reserve boolean,
                             OUT taken jsonb, OUT rest numeric) LANGUAGE plpgsql AS $$
DECLARE
    part numeric;
BEGIN
    taken := '[]';
    rest := amount;
    FOR i IN 1 .. cardinality(lots) LOOP
        EXIT WHEN rest = 0;
        CONTINUE WHEN lots[i].remaining = lots[i].held OR lots[i].effective_at > at OR lots[i].expires_at <= at;
        part := least(rest, lots[i].remaining - lots[i].held);
        rest := rest - part;
        IF reserve THEN
            lots[i].held := lots[i].held + part;
        ELSE
            lots[i].remaining := lots[i].remaining - part;
        END IF;
        taken := taken || jsonb_build_object(
            'lot', lots[i].id, 'kind', lots[i].kind,
            'amount', credits_text(CASE WHEN reserve THEN part ELSE -part END));
    END LOOP;
END
$$;

CREATE FUNCTION credits_overage_line(amount numeric) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_build_object('lot', NULL, 'kind', 'overage', 'amount', credits_text(amount))
$$;

-- Which news a change of what is available makes, if any.
CREATE FUNCTION credits_news(before numeric, after numeric, threshold numeric) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN before > 0 AND after <= 0 THEN 'credits.exhausted'
                WHEN before >= threshold AND after < threshold THEN 'credits.low' END
$$;

-- What news of an account says.
CREATE FUNCTION credits_figures(balance numeric, held numeric, threshold numeric) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_build_object('balance', credits_text(balance), 'held', credits_text(held),
                              'available', credits_text(balance - held), 'threshold', credits_text(threshold))
$$;

CREATE FUNCTION credits_announce(a credits_creditaccount, type text, at timestamptz) RETURNS void LANGUAGE sql AS $$
    INSERT INTO outbox_domainevent (id, organization_id, type, data, actor_label, created_at, attempts, last_error)
    VALUES (farebox_uuid7(), a.id, type, credits_figures(a.balance, a.held, a.low_balance_at), 'ledger', at, 0, '')
$$;

-- Writes back accounts and lots as they stand in memory, and announces each threshold that was crossed.
CREATE FUNCTION credits_store(accounts credits_creditaccount[], lots credits_lot[], at timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE credits_lot l SET remaining = s.remaining, held = s.held
    FROM unnest(lots) s
    WHERE l.id = s.id AND (l.remaining <> s.remaining OR l.held <> s.held);
    WITH moved AS (
        UPDATE credits_creditaccount c SET
            balance = s.balance, held = s.held, overage = s.overage, overage_held = s.overage_held, excess = s.excess,
            entry_count = s.entry_count, last_posted_at = s.last_posted_at
        FROM unnest(accounts) s, credits_creditaccount old
        WHERE c.id = s.id AND old.id = s.id
        RETURNING s.*, credits_news(old.balance - old.held, s.balance - s.held, s.low_balance_at) AS news
    )
    INSERT INTO outbox_domainevent (id, organization_id, type, data, actor_label, created_at, attempts, last_error)
    SELECT farebox_uuid7(), m.id, m.news, credits_figures(m.balance, m.held, m.low_balance_at), 'ledger', at, 0, ''
    FROM moved m WHERE m.news IS NOT NULL;
END
$$;

-- Numbers an entry, moves the balance and returns the entry; the caller inserts it.
CREATE FUNCTION credits_entry(INOUT a credits_creditaccount, INOUT e credits_ledgerentry, at timestamptz)
LANGUAGE plpgsql AS $$
BEGIN
    a.balance := a.balance + e.amount;
    a.entry_count := a.entry_count + 1;
    a.last_posted_at := greatest(at, a.last_posted_at);  -- posting time never runs backwards within an account
    e.id := coalesce(e.id, farebox_uuid7());
    e.account_id := a.id;
    e.number := a.entry_count;
    e.balance_after := a.balance;
    e.posted_at := a.last_posted_at;
    e.effective_at := coalesce(e.effective_at, a.last_posted_at);
    e.reason := left(coalesce(e.reason, ''), 300);
    e.actor := left(coalesce(e.actor, ''), 120);
    e.request_hash := coalesce(e.request_hash, '');
END
$$;

-- Takes what has expired out of an account: overdue API holds first, then the unreserved part of expired lots.
-- The caller holds the account's lock.
CREATE FUNCTION credits_sweep(account uuid, at timestamptz) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    a credits_creditaccount;
    l credits_lot;
    e credits_ledgerentry;
    posted record;
    swept integer := 0;
BEGIN
    IF EXISTS (SELECT 1 FROM credits_hold h WHERE h.account_id = account AND h.status = 'open'
               AND h.purpose = 'api' AND h.expires_at <= at) THEN
        SELECT count(*) INTO swept FROM credits_end_holds(
            (SELECT jsonb_agg(jsonb_build_object('hold', h.id, 'amount', 0)) FROM credits_hold h
             WHERE h.account_id = account AND h.status = 'open' AND h.purpose = 'api' AND h.expires_at <= at),
            at, 'expired');
        SELECT * INTO a FROM credits_creditaccount WHERE id = account;
        PERFORM credits_announce(a, 'hold.expired', at);
    END IF;
    IF NOT EXISTS (SELECT 1 FROM credits_lot x WHERE x.account_id = account AND x.remaining > x.held
                   AND x.expires_at <= at) THEN
        RETURN swept;
    END IF;
    SELECT * INTO a FROM credits_creditaccount WHERE id = account;
    FOR l IN SELECT * FROM credits_lot x WHERE x.account_id = account AND x.remaining > x.held AND x.expires_at <= at
             ORDER BY x.expires_at, x.id LOOP
        e := NULL;
        e.kind := 'expiry';
        e.amount := l.held - l.remaining;
        e.allocations := jsonb_build_array(
            jsonb_build_object('lot', l.id, 'kind', l.kind, 'amount', credits_text(e.amount)));
        e.reason := 'Credit expired';
        e.actor := 'ledger';
        e.effective_at := l.expires_at;
        posted := credits_entry(a, e, at);
        a := posted.a;
        e := posted.e;
        INSERT INTO credits_ledgerentry SELECT (e).*;
        UPDATE credits_lot SET remaining = l.held WHERE id = l.id;
        swept := swept + 1;
    END LOOP;
    PERFORM credits_store(ARRAY[a], '{}', at);
    PERFORM credits_announce(a, 'credits.expired', at);
    RETURN swept;
END
$$;

-- Locks the accounts of a batch and sweeps those where something has run out.
CREATE FUNCTION credits_begin(accounts uuid[], at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    account uuid;
BEGIN
    PERFORM credits_lock(accounts);
    FOR account IN
        SELECT l.account_id FROM credits_lot l
        WHERE l.account_id = ANY (accounts) AND l.is_open AND l.expires_at <= at AND l.remaining > l.held
        UNION
        SELECT h.account_id FROM credits_hold h
        WHERE h.account_id = ANY (accounts) AND h.status = 'open' AND h.purpose = 'api' AND h.expires_at <= at
    LOOP
        PERFORM credits_sweep(account, at);
    END LOOP;
END
$$;

-- ---------------------------------------------------------------- holds

-- Items: account, id, amount, key, purpose, expires_at, context, limits (ids), limit_amount.
-- status: placed, replayed (same key and amount), key_reused, insufficient, limit_exceeded, no_account.
CREATE FUNCTION place_holds(p_items jsonb, p_at timestamptz)
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

-- Item by item. `done`: accounts that are left out.
CREATE FUNCTION credits_hold_each(requests credits_request[], done uuid[], p_at timestamptz)
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
            FROM credits_spendlimit s WHERE s.id = ANY (item.limits);
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

-- Ends holds: spends `amount` (0 for a release) from what each reserved, gives the rest back.
-- Items: hold, amount, limit_amount, event, reason, actor. `p_outcome`: settled, released or expired.
-- status: the outcome, replayed (ended that way before with the same amount), amount_differs, not_open, unknown_hold.
-- An amount above the hold is charged in full: from free lots, then as overage, beyond the limit if need be (`excess`).
CREATE FUNCTION credits_end_holds(p_items jsonb, p_at timestamptz, p_outcome text)
RETURNS TABLE (ord integer, status text, hold_id uuid, entry_id uuid, charged numeric, balance numeric, held numeric,
               available numeric, excess numeric)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    seed text := farebox_uuid7();
    endings credits_ending[];
BEGIN
    SELECT array_agg(ROW(t.ord, farebox_uuid7_of(seed, t.ord::integer), t.hold, t.amount, t.limit_amount, t.event,
                         left(coalesce(t.reason, ''), 300), left(coalesce(t.actor, ''), 120), NULL, false)::credits_ending)
    INTO endings
    FROM ROWS FROM (jsonb_to_recordset(p_items) AS (
            hold uuid, amount numeric, limit_amount numeric, event uuid, reason text, actor text)) WITH ORDINALITY
         AS t (hold, amount, limit_amount, event, reason, actor, ord);
    RETURN QUERY SELECT * FROM credits_end(endings, p_at, p_outcome);
END
$$;

CREATE FUNCTION credits_end(endings credits_ending[], p_at timestamptz, p_outcome text)
RETURNS TABLE (ord integer, status text, hold_id uuid, entry_id uuid, charged numeric, balance numeric, held numeric,
               available numeric, excess numeric)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    batch uuid[] := ARRAY(
        SELECT DISTINCT coalesce(e.account, (SELECT h.account_id FROM credits_hold h WHERE h.id = e.hold))
        FROM unnest(endings) e);
    certain uuid[] := '{}';
BEGIN
    IF p_outcome = 'expired' THEN
        PERFORM credits_lock(batch);  -- called by the sweep itself
    ELSE
        PERFORM credits_begin(batch, p_at);
    END IF;
    IF p_outcome = 'settled' THEN
        certain := credits_can_settle(endings, p_at);
        IF certain <> '{}' THEN
            RETURN QUERY SELECT * FROM credits_settle(endings, certain, p_at);
        END IF;
    END IF;
    IF cardinality(certain) < cardinality(batch) THEN
        RETURN QUERY SELECT * FROM credits_end_each(endings, certain, p_at, p_outcome);
    END IF;
END
$$;

-- Item by item. `done`: accounts that are left out.
CREATE FUNCTION credits_end_each(endings credits_ending[], done uuid[], p_at timestamptz, p_outcome text)
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
                UPDATE credits_spendlimit s SET
                    held = s.held - h.limit_amount,
                    spent = s.spent + coalesce(item.limit_amount, item.amount),
                    excess = greatest(s.excess, s.spent + coalesce(item.limit_amount, item.amount)
                                                + s.held - h.limit_amount - s.ceiling)
                WHERE s.id = ANY (h.limit_ids);
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

CREATE FUNCTION settle_holds(p_items jsonb, p_at timestamptz)
RETURNS TABLE (ord integer, status text, hold_id uuid, entry_id uuid, charged numeric, balance numeric, held numeric,
               available numeric, excess numeric)
LANGUAGE sql SET enable_seqscan = off AS $$ SELECT * FROM credits_end_holds(p_items, p_at, 'settled') $$;

CREATE FUNCTION release_holds(p_items jsonb, p_at timestamptz)
RETURNS TABLE (ord integer, status text, hold_id uuid, entry_id uuid, charged numeric, balance numeric, held numeric,
               available numeric, excess numeric)
LANGUAGE sql SET enable_seqscan = off AS $$
    SELECT * FROM credits_end_holds(
        (SELECT jsonb_agg(i || '{"amount": 0}' ORDER BY o) FROM jsonb_array_elements(p_items) WITH ORDINALITY AS t (i, o)),
        p_at, 'released')
$$;

-- ---------------------------------------------------------------- entries

-- A new lot. A purchase first settles what is owed below zero.
CREATE FUNCTION credits_post_grant(a credits_creditaccount, item jsonb, at timestamptz) RETURNS uuid
LANGUAGE plpgsql AS $$
DECLARE
    total numeric := (item ->> 'amount')::numeric;
    owed numeric := CASE WHEN item ->> 'lot_kind' = 'purchased' THEN least(total, a.overage) ELSE 0 END;
    e credits_ledgerentry;
BEGIN
    INSERT INTO credits_lot (id, account_id, kind, amount, remaining, held, priority, effective_at, expires_at, created_at)
    VALUES ((item ->> 'lot')::uuid, a.id, item ->> 'lot_kind', total, total - owed, 0, (item ->> 'priority')::smallint,
            (item ->> 'effective_at')::timestamptz, (item ->> 'expires_at')::timestamptz, at);
    e.kind := item ->> 'kind';
    e.amount := total;
    e.allocations := jsonb_build_array(jsonb_build_object(
        'lot', item ->> 'lot', 'kind', item ->> 'lot_kind', 'amount', credits_text(total - owed)));
    IF owed > 0 THEN
        e.allocations := e.allocations || credits_overage_line(owed);
        a.overage := a.overage - owed;
        a.excess := greatest(a.overage + a.overage_held - a.overage_limit, 0);
    END IF;
    RETURN credits_post_one(a, e, item, at);
END
$$;

-- Fills in what every entry has, inserts it and stores the account.
CREATE FUNCTION credits_post_one(a credits_creditaccount, e credits_ledgerentry, item jsonb, at timestamptz) RETURNS uuid
LANGUAGE plpgsql AS $$
DECLARE
    posted record;
BEGIN
    e.reason := item ->> 'reason';
    e.actor := item ->> 'actor';
    e.key := item ->> 'key';
    e.request_hash := item ->> 'request_hash';
    e.event_id := (item ->> 'event')::uuid;
    e.effective_at := (item ->> 'counts_from')::timestamptz;
    posted := credits_entry(a, e, at);
    INSERT INTO credits_ledgerentry SELECT (posted.e).*;
    PERFORM credits_store(ARRAY[posted.a], '{}', at);
    RETURN (posted.e).id;
END
$$;

-- Gives credit back to the lots that an entry took it from, last taken first; what came from lots that have since expired,
-- or from overage that has since been settled, goes to a fresh lot.
CREATE FUNCTION credits_post_refund(a credits_creditaccount, item jsonb, at timestamptz, OUT status text, OUT entry uuid)
LANGUAGE plpgsql AS $$
DECLARE
    original credits_ledgerentry;
    e credits_ledgerentry;
    line record;
    already numeric;
    amount numeric;
    rest numeric;
    part numeric;
    fresh numeric := 0;
    back_to text;
BEGIN
    SELECT * INTO original FROM credits_ledgerentry o WHERE o.id = (item ->> 'entry')::uuid AND o.account_id = a.id;
    IF original.id IS NULL THEN status := 'unknown_entry'; RETURN; END IF;
    IF original.amount > 0 OR original.kind IN ('expiry', 'void') THEN status := 'not_refundable'; RETURN; END IF;
    SELECT coalesce(sum(r.amount), 0) INTO already FROM credits_ledgerentry r WHERE r.reverses_id = original.id;
    amount := coalesce((item ->> 'amount')::numeric, -original.amount - already);
    IF amount <= 0 OR amount > -original.amount - already THEN status := 'exceeds_charge'; RETURN; END IF;
    e.allocations := '[]';
    rest := amount;
    FOR line IN
        SELECT r.lot, r.kind, -r.amount AS amount
        FROM ROWS FROM (jsonb_to_recordset(original.allocations) AS (lot uuid, kind text, amount numeric))
             WITH ORDINALITY AS r (lot, kind, amount, o) ORDER BY r.o DESC
    LOOP
        part := least(already, line.amount);  -- this much of the line was given back before
        already := already - part;
        part := least(rest, line.amount - part);
        CONTINUE WHEN part = 0;
        rest := rest - part;
        IF line.lot IS NULL THEN
            fresh := fresh + part - least(part, a.overage);
            part := least(part, a.overage);
            a.overage := a.overage - part;
            a.excess := greatest(a.overage + a.overage_held - a.overage_limit, 0);
            IF part > 0 THEN e.allocations := e.allocations || credits_overage_line(part); END IF;
        ELSE
            UPDATE credits_lot l SET remaining = l.remaining + part
            WHERE l.id = line.lot AND (l.expires_at IS NULL OR l.expires_at > at) RETURNING l.id::text INTO back_to;
            IF back_to IS NULL THEN
                fresh := fresh + part;
            ELSE
                e.allocations := e.allocations || jsonb_build_object(
                    'lot', line.lot, 'kind', line.kind, 'amount', credits_text(part));
            END IF;
        END IF;
    END LOOP;
    IF fresh > 0 THEN
        INSERT INTO credits_lot (id, account_id, kind, amount, remaining, held, priority, effective_at, expires_at, created_at)
        VALUES ((item ->> 'lot')::uuid, a.id, 'refund', fresh, fresh, 0, (item ->> 'priority')::smallint, at, NULL, at);
        e.allocations := e.allocations || jsonb_build_object(
            'lot', item ->> 'lot', 'kind', 'refund', 'amount', credits_text(fresh));
    END IF;
    e.kind := item ->> 'kind';
    e.amount := amount;
    e.reverses_id := original.id;
    e.hold_id := original.hold_id;
    status := 'posted';
    entry := credits_post_one(a, e, item, at);
END
$$;

-- Takes back what is neither spent nor held of a lot.
CREATE FUNCTION credits_post_void(a credits_creditaccount, item jsonb, at timestamptz, OUT status text, OUT entry uuid)
LANGUAGE plpgsql AS $$
DECLARE
    lot credits_lot;
    e credits_ledgerentry;
BEGIN
    SELECT * INTO lot FROM credits_lot l WHERE l.id = (item ->> 'lot')::uuid AND l.account_id = a.id;
    IF lot.id IS NULL THEN status := 'unknown_lot'; RETURN; END IF;
    IF lot.remaining = lot.held THEN status := 'nothing_left'; RETURN; END IF;
    UPDATE credits_lot SET remaining = held WHERE id = lot.id;
    e.kind := 'void';
    e.amount := lot.held - lot.remaining;
    e.allocations := jsonb_build_array(jsonb_build_object(
        'lot', lot.id, 'kind', lot.kind, 'amount', credits_text(e.amount)));
    status := 'posted';
    entry := credits_post_one(a, e, item, at);
END
$$;

CREATE FUNCTION credits_post_other(a credits_creditaccount, item jsonb, at timestamptz, OUT status text, OUT entry uuid)
LANGUAGE plpgsql AS $$
BEGIN
    CASE item ->> 'type'
        WHEN 'grant' THEN
            status := 'posted';
            entry := credits_post_grant(a, item, at);
        WHEN 'refund' THEN
            SELECT r.status, r.entry INTO status, entry FROM credits_post_refund(a, item, at) r;
        WHEN 'void' THEN
            SELECT r.status, r.entry INTO status, entry FROM credits_post_void(a, item, at) r;
    END CASE;
END
$$;

-- Items: account, type (spend, grant, refund, void), kind (of the entry), amount, key, request_hash, reason, actor, event;
-- spend: overage (may it go below zero), limits; grant: lot, lot_kind, priority, effective_at, expires_at;
-- refund: entry, lot and priority (of a fresh lot); void: lot.
-- status: posted, replayed, key_reused, insufficient, limit_exceeded, no_account, unknown_entry, not_refundable,
-- exceeds_charge, unknown_lot, nothing_left.
CREATE FUNCTION post_entries(p_items jsonb, p_at timestamptz)
RETURNS TABLE (ord integer, status text, entry_id uuid, balance numeric, held numeric, available numeric)
LANGUAGE plpgsql SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    seed text := farebox_uuid7();
    items credits_item[];
BEGIN
    SELECT array_agg(ROW(t.ord, farebox_uuid7_of(seed, t.ord::integer), t.account, t.type, t.kind, t.amount, t.key,
                         coalesce(t.request_hash, ''), left(coalesce(t.reason, ''), 300), left(coalesce(t.actor, ''), 120),
                         t.event, t.overage, coalesce(t.limits, '{}'))::credits_item)
    INTO items
    FROM ROWS FROM (jsonb_to_recordset(p_items) AS (
            account uuid, type text, kind text, amount numeric, key text, request_hash text, reason text, actor text,
            event uuid, overage boolean, limits uuid[])) WITH ORDINALITY
         AS t (account, type, kind, amount, key, request_hash, reason, actor, event, overage, limits, ord);
    RETURN QUERY SELECT * FROM credits_post(items, p_items, p_at);
END
$$;

-- Accounts that can pay for everything go in one statement; an account where anything may be refused goes item by item.
CREATE FUNCTION credits_post(items credits_item[], bodies jsonb, p_at timestamptz)
RETURNS TABLE (ord integer, status text, entry_id uuid, balance numeric, held numeric, available numeric)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    batch uuid[] := ARRAY(SELECT DISTINCT i.account FROM unnest(items) i);
    certain uuid[];
BEGIN
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

-- Item by item. `bodies`: the items as they were sent, for rare movements. `done`: accounts that are left out.
CREATE FUNCTION credits_post_each(items credits_item[], done uuid[], bodies jsonb, p_at timestamptz)
RETURNS TABLE (ord integer, status text, entry_id uuid, balance numeric, held numeric, available numeric)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    batch uuid[] := ARRAY(SELECT DISTINCT i.account FROM unnest(items) i WHERE i.account <> ALL (done));
    item record;
    moment timestamptz;  -- p_at, but never before the account's last entry: clocks differ between machines
    posted record;
    a credits_creditaccount;
    e credits_ledgerentry;
    lots credits_lot[];
    accounts_done credits_creditaccount[] := '{}';
    lots_done credits_lot[] := '{}';
    entries_done credits_ledgerentry[] := '{}';
    first_hash text;
    spendable numeric;
    taken jsonb;
    rest numeric;
BEGIN
    FOR item IN
        WITH wallet AS MATERIALIZED (
            SELECT c AS account, c.id, credits_lots(c.id) AS lots FROM credits_creditaccount c WHERE c.id = ANY (batch)
        )
        SELECT t.*, w.id IS NOT NULL AS known, w.account AS wallet, w.lots, x.id AS earlier, x.request_hash AS earlier_hash,
               t.key IS NOT NULL AND row_number() OVER (PARTITION BY t.account, t.key ORDER BY t.ord) > 1 AS repeated
        FROM unnest(items) t
        LEFT JOIN wallet w ON w.id = t.account
        LEFT JOIN credits_ledgerentry x ON x.account_id = t.account AND x.key = t.key
        WHERE t.account IS NULL OR t.account <> ALL (done)
        ORDER BY t.account, t.ord
    LOOP
        ord := item.ord;
        IF NOT item.known THEN
            status := 'no_account';
            balance := NULL; held := NULL; available := NULL;  -- not those of the account before
            entry_id := NULL;
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
        entry_id := item.earlier;
        first_hash := item.earlier_hash;
        IF item.repeated AND entry_id IS NULL THEN
            SELECT y.id, y.request_hash INTO entry_id, first_hash
            FROM (SELECT * FROM unnest(entries_done) UNION ALL
                  SELECT * FROM credits_ledgerentry z WHERE z.account_id = item.account AND z.key = item.key) y
            WHERE y.account_id = item.account AND y.key = item.key;
        END IF;
        IF entry_id IS NOT NULL THEN
            status := CASE WHEN first_hash = item.request_hash THEN 'replayed' ELSE 'key_reused' END;
        ELSIF item.type <> 'spend' THEN
            -- rare movements work on the tables themselves: write back first, read again afterwards
            INSERT INTO credits_ledgerentry SELECT * FROM unnest(entries_done);
            PERFORM credits_store(accounts_done || a, lots_done || lots, p_at);
            accounts_done := '{}';
            lots_done := '{}';
            entries_done := '{}';
            SELECT r.status, r.entry INTO status, entry_id FROM credits_post_other(a, bodies -> (item.ord - 1), moment) r;
            SELECT * INTO a FROM credits_creditaccount c WHERE c.id = item.account;
            lots := credits_lots(a.id);
            spendable := credits_spendable(lots, moment);
        ELSIF item.amount > spendable + (CASE WHEN item.overage THEN credits_overage_room(a) ELSE 0 END) THEN
            status := 'insufficient';
        ELSIF item.limits <> '{}' AND EXISTS (
                SELECT 1 FROM credits_spendlimit s WHERE s.id = ANY (item.limits)
                AND s.ceiling + s.excess - s.spent - s.held < item.amount) THEN
            status := 'limit_exceeded';
        ELSE
            status := 'posted';
            IF item.amount > 0 THEN
                SELECT b.lots, b.taken, b.rest INTO lots, taken, rest FROM credits_burn(lots, item.amount, moment, false) b;
                spendable := spendable - (item.amount - rest);
                IF rest > 0 THEN
                    a.overage := a.overage + rest;
                    taken := taken || credits_overage_line(-rest);
                END IF;
                e := NULL;
                e.id := item.id;
                e.kind := item.kind;
                e.amount := -item.amount;
                e.allocations := taken;
                e.reason := item.reason;
                e.actor := item.actor;
                e.key := item.key;
                e.request_hash := item.request_hash;
                e.event_id := item.event;
                posted := credits_entry(a, e, p_at);
                a := posted.a;
                e := posted.e;
                entries_done := entries_done || e;
                entry_id := e.id;
                IF item.limits <> '{}' THEN
                    UPDATE credits_spendlimit s SET spent = s.spent + item.amount WHERE s.id = ANY (item.limits);
                END IF;
            END IF;
        END IF;
        balance := a.balance;
        held := a.held;
        available := spendable - a.overage - a.overage_held;
        RETURN NEXT;
    END LOOP;
    IF a.id IS NOT NULL THEN
        INSERT INTO credits_ledgerentry SELECT * FROM unnest(entries_done);
        PERFORM credits_store(accounts_done || a, lots_done || lots, p_at);
    END IF;
END
$$;
