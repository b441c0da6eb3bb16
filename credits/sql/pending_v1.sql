-- News of what is available leaves out credit that begins later, as alerts and top-ups do: it pays for nothing yet.
--
-- An account remembers until when it may have such credit, so that all others ask no lot about it. What is pending is the same
-- before and after a spend, a hold and its end; what moves it are grants and voids of lots that have not begun.
--
-- The functions that follow are those of ledger_v1.sql, single_v1.sql and certain_v1.sql, but for that.

-- What of an account's credit begins after `moment`. To be asked only where `pending_until` is later.
CREATE FUNCTION credits_pending(account uuid, moment timestamptz) RETURNS numeric LANGUAGE sql STABLE AS $$
    SELECT coalesce(sum(l.remaining - l.held), 0) FROM credits_lot l
    WHERE l.account_id = account AND l.is_open AND l.effective_at > moment
$$;

CREATE FUNCTION credits_note_pending() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE credits_creditaccount c SET pending_until = NEW.effective_at
    WHERE c.id = NEW.account_id AND (c.pending_until IS NULL OR c.pending_until < NEW.effective_at);
    RETURN NULL;
END
$$;

CREATE TRIGGER lot_that_begins_later AFTER INSERT ON credits_lot
    FOR EACH ROW WHEN (NEW.effective_at > NEW.created_at) EXECUTE FUNCTION credits_note_pending();

-- What news of an account says while `pending` of its credit has not begun.
CREATE FUNCTION credits_figures(balance numeric, held numeric, threshold numeric, pending numeric) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT credits_figures(balance, held, threshold)
           || jsonb_build_object('available', credits_text(balance - held - pending))
$$;

-- Writes an account's new figures and tells if that is news; `a` has them, `before` is what was available, pending or not.
CREATE OR REPLACE FUNCTION credits_keep(a credits_creditaccount, before numeric, at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    pending numeric := 0;
    news text;
BEGIN
    UPDATE credits_creditaccount c SET
        balance = a.balance, held = a.held, entry_count = a.entry_count, last_posted_at = a.last_posted_at
    WHERE c.id = a.id;
    IF a.pending_until > at THEN
        pending := credits_pending(a.id, greatest(at, a.last_posted_at));
    END IF;
    news := credits_news(before - pending, a.balance - a.held - pending, a.low_balance_at);
    IF news IS NOT NULL THEN
        INSERT INTO outbox_domainevent (id, organization_id, type, data, actor_label, created_at, attempts, last_error)
        VALUES (farebox_uuid7(), a.id, news, credits_figures(a.balance, a.held, a.low_balance_at, pending), 'ledger', at, 0, '');
    END IF;
END
$$;

-- Writes back accounts and lots as they stand in memory, and announces each threshold that was crossed. `shifted`: how much more
-- is pending of the one account than before.
CREATE FUNCTION credits_store(accounts credits_creditaccount[], lots credits_lot[], at timestamptz, shifted numeric DEFAULT 0)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE credits_lot l SET remaining = s.remaining, held = s.held
    FROM unnest(lots) s
    WHERE l.id = s.id AND (l.remaining <> s.remaining OR l.held <> s.held);
    WITH moved AS (
        UPDATE credits_creditaccount c SET
            balance = s.balance, held = s.held, overage = s.overage, overage_held = s.overage_held, excess = s.excess,
            entry_count = s.entry_count, last_posted_at = s.last_posted_at
        FROM unnest(accounts) s, credits_creditaccount old, LATERAL (
            SELECT CASE WHEN old.pending_until > greatest(at, old.last_posted_at)
                        THEN credits_pending(old.id, greatest(at, old.last_posted_at)) ELSE 0 END AS pending) p
        WHERE c.id = s.id AND old.id = s.id
        RETURNING s.*, p.pending,
                  credits_news(old.balance - old.held - (p.pending - shifted), s.balance - s.held - p.pending,
                               s.low_balance_at) AS news
    )
    INSERT INTO outbox_domainevent (id, organization_id, type, data, actor_label, created_at, attempts, last_error)
    SELECT farebox_uuid7(), m.id, m.news, credits_figures(m.balance, m.held, m.low_balance_at, m.pending), 'ledger', at, 0, ''
    FROM moved m WHERE m.news IS NOT NULL;
END
$$;
DROP FUNCTION credits_store(credits_creditaccount[], credits_lot[], timestamptz);

-- Fills in what every entry has, inserts it and stores the account.
CREATE OR REPLACE FUNCTION credits_post_one(a credits_creditaccount, e credits_ledgerentry, item jsonb, at timestamptz) RETURNS uuid
LANGUAGE plpgsql AS $$
DECLARE
    posted record;
    shifted numeric := 0;
BEGIN
    e.reason := item ->> 'reason';
    e.actor := item ->> 'actor';
    e.key := item ->> 'key';
    e.request_hash := item ->> 'request_hash';
    e.event_id := (item ->> 'event')::uuid;
    e.effective_at := (item ->> 'counts_from')::timestamptz;
    posted := credits_entry(a, e, at);
    INSERT INTO credits_ledgerentry SELECT (posted.e).*;
    SELECT coalesce(sum(r.amount), 0) INTO shifted
    FROM jsonb_to_recordset(e.allocations) AS r (lot uuid, amount numeric)
    JOIN credits_lot l ON l.id = r.lot AND l.effective_at > greatest(at, a.last_posted_at);
    PERFORM credits_store(ARRAY[posted.a], '{}', at, shifted);
    RETURN (posted.e).id;
END
$$;

-- Posts the spends of `accounts`, which credits_can_pay has named; see certain_v1.sql.
CREATE OR REPLACE FUNCTION credits_spend(items credits_item[], accounts uuid[], p_at timestamptz)
RETURNS TABLE (ord integer, status text, entry_id uuid, balance numeric, held numeric, available numeric)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH wallet AS MATERIALIZED (
        SELECT c.*, greatest(p_at, c.last_posted_at) AS moment,
               CASE WHEN c.pending_until > greatest(p_at, c.last_posted_at)
                    THEN credits_pending(c.id, greatest(p_at, c.last_posted_at)) ELSE 0 END AS pending
        FROM credits_creditaccount c WHERE c.id = ANY (accounts)
    ), lot AS MATERIALIZED (
        SELECT l.account_id, l.id, l.kind, l.remaining - l.held AS free, sum(l.remaining - l.held) OVER burn AS ends,
               sum(l.remaining - l.held) OVER burn - (l.remaining - l.held) AS starts
        FROM wallet w JOIN credits_lot l ON l.account_id = w.id
        WHERE l.is_open AND l.remaining > l.held AND l.effective_at <= w.moment
              AND (l.expires_at IS NULL OR l.expires_at > w.moment)
        WINDOW burn AS (PARTITION BY l.account_id ORDER BY l.priority, l.expires_at NULLS LAST, l.created_at, l.id)
    ), item AS MATERIALIZED (
        SELECT i.*, sum(i.amount) OVER turn AS ends, row_number() OVER turn AS nth
        FROM unnest(items) i WHERE i.account = ANY (accounts)
        WINDOW turn AS (PARTITION BY i.account ORDER BY i.ord)
    ), total AS MATERIALIZED (
        SELECT i.account, max(i.ends) AS amount, count(*) AS entries FROM item i GROUP BY i.account
    ), ladder AS MATERIALIZED (
        SELECT l.account_id, max(l.ends) AS free, array_agg(l.id ORDER BY l.ends) FILTER (WHERE l.starts < t.amount) AS lots,
               array_agg(l.kind::text ORDER BY l.ends) FILTER (WHERE l.starts < t.amount) AS kinds,
               array_agg(l.ends ORDER BY l.ends) FILTER (WHERE l.starts < t.amount) AS ends
        FROM lot l JOIN total t ON t.account = l.account_id GROUP BY l.account_id
    ), posted AS (
        INSERT INTO credits_ledgerentry (
            id, account_id, number, kind, amount, balance_after, allocations, reason, actor, key, request_hash, event_id,
            effective_at, posted_at)
        SELECT i.id, i.account, i.number, i.kind, -i.amount, i.balance,
               CASE WHEN i.ends <= i.lot_ends[i.n]
                    THEN jsonb_build_array(jsonb_build_object(
                        'lot', i.lots[i.n], 'kind', i.kinds[i.n], 'amount', credits_text(-i.amount)))
                    ELSE credits_overlap(i.ends - i.amount, i.ends, i.n, i.lot_ends, i.lots, i.kinds, -1) END,
               i.reason, i.actor, i.key, i.request_hash, i.event, i.moment, i.moment
        FROM (SELECT i.*, w.entry_count + i.nth AS number, w.balance - i.ends AS balance, w.moment, d.ends AS lot_ends, d.lots,
                     d.kinds, width_bucket(i.ends - i.amount, d.ends) + 1 AS n
              FROM item i JOIN wallet w ON w.id = i.account JOIN ladder d ON d.account_id = i.account OFFSET 0) i
    ), burned AS (
        UPDATE credits_lot l SET remaining = l.remaining - least(t.amount - x.starts, x.free)
        FROM lot x JOIN total t ON t.account = x.account_id
        WHERE l.id = x.id AND x.starts < t.amount
    ), moved AS (
        UPDATE credits_creditaccount c SET
            balance = w.balance - t.amount, entry_count = w.entry_count + t.entries, last_posted_at = w.moment
        FROM wallet w JOIN total t ON t.account = w.id
        WHERE c.id = w.id
        RETURNING c.id, c.balance, c.held, c.low_balance_at, w.pending,
                  credits_news(w.balance - w.held - w.pending, c.balance - c.held - w.pending, c.low_balance_at) AS news
    ), told AS (
        INSERT INTO outbox_domainevent (id, organization_id, type, data, actor_label, created_at, attempts, last_error)
        SELECT farebox_uuid7(), m.id, m.news, credits_figures(m.balance, m.held, m.low_balance_at, m.pending), 'ledger', p_at,
               0, ''
        FROM moved m WHERE m.news IS NOT NULL
    )
    SELECT i.ord, 'posted', i.id, w.balance - i.ends, w.held, d.free - i.ends - w.overage - w.overage_held
    FROM item i JOIN wallet w ON w.id = i.account JOIN ladder d ON d.account_id = i.account;
    IF EXISTS (SELECT 1 FROM unnest(items) i WHERE i.limits <> '{}' AND i.account = ANY (accounts)) THEN
        UPDATE credits_spendlimit s SET spent = s.spent + d.amount
        FROM credits_limited(items, accounts) d WHERE s.id = d.id;
    END IF;
END
$$;

-- Places the holds of `accounts`, which credits_can_hold has named.
CREATE OR REPLACE FUNCTION credits_reserve(requests credits_request[], accounts uuid[], p_at timestamptz)
RETURNS TABLE (ord integer, status text, hold_id uuid, balance numeric, held numeric, available numeric,
               limit_remaining numeric)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH wallet AS MATERIALIZED (
        SELECT c.*, greatest(p_at, c.last_posted_at) AS moment,
               CASE WHEN c.pending_until > greatest(p_at, c.last_posted_at)
                    THEN credits_pending(c.id, greatest(p_at, c.last_posted_at)) ELSE 0 END AS pending
        FROM credits_creditaccount c WHERE c.id = ANY (accounts)
    ), lot AS MATERIALIZED (
        SELECT l.account_id, l.id, l.kind, l.remaining - l.held AS free, sum(l.remaining - l.held) OVER burn AS ends,
               sum(l.remaining - l.held) OVER burn - (l.remaining - l.held) AS starts
        FROM wallet w JOIN credits_lot l ON l.account_id = w.id
        WHERE l.is_open AND l.remaining > l.held AND l.effective_at <= w.moment
              AND (l.expires_at IS NULL OR l.expires_at > w.moment)
        WINDOW burn AS (PARTITION BY l.account_id ORDER BY l.priority, l.expires_at NULLS LAST, l.created_at, l.id)
    ), item AS MATERIALIZED (
        SELECT r.*, sum(r.amount) OVER turn AS ends
        FROM unnest(requests) r WHERE r.account = ANY (accounts)
        WINDOW turn AS (PARTITION BY r.account ORDER BY r.ord)
    ), total AS MATERIALIZED (
        SELECT i.account, max(i.ends) AS amount FROM item i GROUP BY i.account
    ), ladder AS MATERIALIZED (
        SELECT l.account_id, max(l.ends) AS free, array_agg(l.id ORDER BY l.ends) FILTER (WHERE l.starts < t.amount) AS lots,
               array_agg(l.kind::text ORDER BY l.ends) FILTER (WHERE l.starts < t.amount) AS kinds,
               array_agg(l.ends ORDER BY l.ends) FILTER (WHERE l.starts < t.amount) AS ends
        FROM lot l JOIN total t ON t.account = l.account_id GROUP BY l.account_id
    ), placed AS (
        INSERT INTO credits_hold (
            id, account_id, amount, allocations, key, purpose, status, limit_ids, limit_amount, context, placed_at, expires_at)
        SELECT i.id, i.account, i.amount,
               CASE WHEN i.amount = 0 THEN '[]'
                    WHEN i.ends <= i.lot_ends[i.n]
                    THEN jsonb_build_array(jsonb_build_object(
                        'lot', i.lots[i.n], 'kind', i.kinds[i.n], 'amount', credits_text(i.amount)))
                    ELSE credits_overlap(i.ends - i.amount, i.ends, i.n, i.lot_ends, i.lots, i.kinds, 1) END,
               i.key, i.purpose, 'open', i.limits, i.limit_amount, i.context, p_at, i.expires_at
        FROM (SELECT i.*, d.ends AS lot_ends, d.lots, d.kinds, width_bucket(i.ends - i.amount, d.ends) + 1 AS n
              FROM item i LEFT JOIN ladder d ON d.account_id = i.account OFFSET 0) i
    ), reserved AS (
        UPDATE credits_lot l SET held = l.held + least(t.amount - x.starts, x.free)
        FROM lot x JOIN total t ON t.account = x.account_id
        WHERE l.id = x.id AND x.starts < t.amount
    ), moved AS (
        UPDATE credits_creditaccount c SET held = w.held + t.amount
        FROM wallet w JOIN total t ON t.account = w.id
        WHERE c.id = w.id AND t.amount > 0
        RETURNING c.id, c.balance, c.held, c.low_balance_at, w.pending,
                  credits_news(w.balance - w.held - w.pending, c.balance - c.held - w.pending, c.low_balance_at) AS news
    ), told AS (
        INSERT INTO outbox_domainevent (id, organization_id, type, data, actor_label, created_at, attempts, last_error)
        SELECT farebox_uuid7(), m.id, m.news, credits_figures(m.balance, m.held, m.low_balance_at, m.pending), 'ledger', p_at,
               0, ''
        FROM moved m WHERE m.news IS NOT NULL
    )
    SELECT i.ord, 'placed', i.id, w.balance, w.held + i.ends, coalesce(d.free, 0) - i.ends - w.overage - w.overage_held,
           NULL::numeric
    FROM item i JOIN wallet w ON w.id = i.account LEFT JOIN ladder d ON d.account_id = i.account;
END
$$;

-- Settles the holds of `accounts`, which credits_can_settle has named.
CREATE OR REPLACE FUNCTION credits_settle(endings credits_ending[], accounts uuid[], p_at timestamptz)
RETURNS TABLE (ord integer, status text, hold_id uuid, entry_id uuid, charged numeric, balance numeric, held numeric,
               available numeric, excess numeric)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH wallet AS MATERIALIZED (
        SELECT c.*, greatest(p_at, c.last_posted_at) AS moment,
               CASE WHEN c.pending_until > greatest(p_at, c.last_posted_at)
                    THEN credits_pending(c.id, greatest(p_at, c.last_posted_at)) ELSE 0 END AS pending,
               (SELECT coalesce(sum(l.remaining - l.held), 0) FROM credits_lot l
                WHERE l.account_id = c.id AND l.is_open AND l.effective_at <= greatest(p_at, c.last_posted_at)
                      AND (l.expires_at IS NULL OR l.expires_at > greatest(p_at, c.last_posted_at))) AS free
        FROM credits_creditaccount c WHERE c.id = ANY (accounts)
    ), item AS MATERIALIZED (
        SELECT e.ord, e.id, e.amount, e.event, e.reason, e.actor, h.id AS hold, h.account_id, h.amount AS reserved,
               h.allocations, sum(e.amount) OVER turn AS spent, sum(h.amount) OVER turn AS freed,
               count(*) FILTER (WHERE e.amount > 0) OVER turn AS nth
        FROM unnest(endings) e JOIN credits_hold h ON h.id = e.hold
        WHERE h.account_id = ANY (accounts)
        WINDOW turn AS (PARTITION BY h.account_id ORDER BY e.ord)
    ), line AS MATERIALIZED (  -- what each hold reserved of each lot
        SELECT l.ord, l.n, (l.line ->> 'lot')::uuid AS lot, l.line ->> 'kind' AS kind,
               (l.line ->> 'amount')::numeric AS reserved,
               greatest(least(l.amount - coalesce(sum((l.line ->> 'amount')::numeric) OVER before, 0),
                              (l.line ->> 'amount')::numeric), 0) AS part
        FROM (SELECT i.ord, i.amount, jsonb_array_elements(i.allocations) AS line,
                     generate_series(1, jsonb_array_length(i.allocations)) AS n FROM item i) l
        WINDOW before AS (PARTITION BY l.ord ORDER BY l.n ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
    ), total AS MATERIALIZED (
        SELECT i.account_id, max(i.spent) AS spent, max(i.freed) AS freed, max(i.nth) AS entries
        FROM item i GROUP BY i.account_id
    ), posted AS (
        INSERT INTO credits_ledgerentry (
            id, account_id, number, kind, amount, balance_after, allocations, reason, actor, key, request_hash, hold_id,
            event_id, effective_at, posted_at)
        SELECT i.id, w.id, w.entry_count + i.nth, 'charge', -i.amount, w.balance - i.spent, t.taken, i.reason, i.actor,
               'hold:' || i.hold, '', i.hold, i.event, w.moment, w.moment
        FROM item i JOIN wallet w ON w.id = i.account_id
        JOIN (SELECT l.ord, jsonb_agg(jsonb_build_object('lot', l.lot, 'kind', l.kind, 'amount', credits_text(-l.part))
                                      ORDER BY l.n) AS taken
              FROM line l WHERE l.part > 0 GROUP BY l.ord) t ON t.ord = i.ord
    ), ended AS (
        UPDATE credits_hold h SET status = 'settled', ended_at = p_at, settled_amount = i.amount
        FROM item i WHERE h.id = i.hold
    ), burned AS (
        UPDATE credits_lot l SET remaining = l.remaining - s.part, held = l.held - s.reserved
        FROM (SELECT x.lot, sum(x.part) AS part, sum(x.reserved) AS reserved FROM line x GROUP BY x.lot) s
        WHERE l.id = s.lot
    ), moved AS (
        UPDATE credits_creditaccount c SET
            balance = w.balance - t.spent, held = w.held - t.freed, entry_count = w.entry_count + t.entries,
            last_posted_at = CASE WHEN t.entries > 0 THEN w.moment ELSE w.last_posted_at END
        FROM wallet w JOIN total t ON t.account_id = w.id
        WHERE c.id = w.id
        RETURNING c.id, c.balance, c.held, c.low_balance_at, w.pending,
                  credits_news(w.balance - w.held - w.pending, c.balance - c.held - w.pending, c.low_balance_at) AS news
    ), told AS (
        INSERT INTO outbox_domainevent (id, organization_id, type, data, actor_label, created_at, attempts, last_error)
        SELECT farebox_uuid7(), m.id, m.news, credits_figures(m.balance, m.held, m.low_balance_at, m.pending), 'ledger', p_at,
               0, ''
        FROM moved m WHERE m.news IS NOT NULL
    )
    SELECT i.ord, 'settled', i.hold, CASE WHEN i.amount > 0 THEN i.id END, i.amount, w.balance - i.spent, w.held - i.freed,
           w.free + i.freed - i.spent - w.overage - w.overage_held, 0::numeric
    FROM item i JOIN wallet w ON w.id = i.account_id;
END
$$;
