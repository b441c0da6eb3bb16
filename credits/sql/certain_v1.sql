-- The short way of the ledger: what can be foreseen to succeed whole is worked out and written in one statement for all
-- accounts of a batch, with running sums in place of a loop. It gives, to the digit, what the item-by-item functions give;
-- an account where any item may be refused, replayed or go below zero is left to those.
--
-- The caller holds the accounts' locks and has swept what has expired.

-- Accounts whose every item is a new spend that free credit, and every spend limit of it, covers together with the others.
CREATE FUNCTION credits_can_pay(items credits_item[], p_at timestamptz) RETURNS uuid[] LANGUAGE plpgsql AS $$
BEGIN
    RETURN ARRAY(
        SELECT asked.account
        FROM (
            SELECT i.account, sum(i.amount) AS total, bool_or(i.limits <> '{}') AS is_limited
            FROM unnest(items) i
            LEFT JOIN credits_ledgerentry x ON x.account_id = i.account AND x.key = i.key
            GROUP BY i.account
            HAVING bool_and(i.type = 'spend' AND i.amount > 0 AND scale(i.amount) <= 12 AND x.id IS NULL)
                   AND count(DISTINCT i.key) = count(i.key)
        ) asked
        JOIN credits_creditaccount a ON a.id = asked.account
        WHERE asked.total <= (
            SELECT sum(l.remaining - l.held) FROM credits_lot l
            WHERE l.account_id = a.id AND l.is_open AND l.effective_at <= greatest(p_at, a.last_posted_at)
                  AND (l.expires_at IS NULL OR l.expires_at > greatest(p_at, a.last_posted_at)))
          AND (NOT asked.is_limited OR NOT EXISTS (
            SELECT 1 FROM credits_limited(items, ARRAY[asked.account]) d JOIN credits_spendlimit s ON s.id = d.id
            WHERE s.ceiling + s.excess - s.spent - s.held < d.amount))
    );
END
$$;

-- What the items of `accounts` take from each spend limit together.
CREATE FUNCTION credits_limited(items credits_item[], accounts uuid[]) RETURNS TABLE (id uuid, amount numeric)
LANGUAGE sql IMMUTABLE AS $$
    SELECT d.id, sum(d.amount) FROM (
        SELECT DISTINCT i.ord, i.amount, unnest(i.limits) AS id FROM unnest(items) i WHERE i.account = ANY (accounts)
    ) d GROUP BY d.id
$$;

-- Posts the spends of `accounts`, which credits_can_pay has named.
--
-- Lots in burn order and spends in their order are two divisions of the same line: each lot ends at a running sum of free
-- credit, each spend at a running sum of amounts, and a spend takes from every lot it overlaps.
CREATE FUNCTION credits_spend(items credits_item[], accounts uuid[], p_at timestamptz)
RETURNS TABLE (ord integer, status text, entry_id uuid, balance numeric, held numeric, available numeric)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH wallet AS MATERIALIZED (
        SELECT c.*, greatest(p_at, c.last_posted_at) AS moment FROM credits_creditaccount c WHERE c.id = ANY (accounts)
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
        RETURNING c.id, c.balance, c.held, c.low_balance_at,
                  credits_news(w.balance - w.held, c.balance - c.held, c.low_balance_at) AS news
    ), told AS (
        INSERT INTO outbox_domainevent (id, organization_id, type, data, actor_label, created_at, attempts, last_error)
        SELECT farebox_uuid7(), m.id, m.news, credits_figures(m.balance, m.held, m.low_balance_at), 'ledger', p_at, 0, ''
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

-- What a stretch of the line takes from lots that end at `lot_ends` (ascending), from the n-th on, times `sign`.
CREATE FUNCTION credits_overlap(starts numeric, ends numeric, n integer, lot_ends numeric[], lots uuid[], kinds text[],
                                sign integer) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    parts jsonb := '[]';
BEGIN
    LOOP
        parts := parts || jsonb_build_object(
            'lot', lots[n], 'kind', kinds[n], 'amount', credits_text(sign * (least(ends, lot_ends[n]) - starts)));
        EXIT WHEN ends <= lot_ends[n];
        starts := lot_ends[n];
        n := n + 1;
    END LOOP;
    RETURN parts;
END
$$;

-- Accounts whose every request is a new hold that free credit covers together with the others.
CREATE FUNCTION credits_can_hold(requests credits_request[], p_at timestamptz) RETURNS uuid[] LANGUAGE plpgsql AS $$
BEGIN
    RETURN ARRAY(
        SELECT asked.account
        FROM (
            SELECT r.account, sum(r.amount) AS total
            FROM unnest(requests) r
            LEFT JOIN credits_hold x ON x.account_id = r.account AND x.key = r.key
            GROUP BY r.account
            HAVING bool_and(r.amount >= 0 AND scale(r.amount) <= 12 AND r.limits = '{}' AND x.id IS NULL)
                   AND count(DISTINCT r.key) = count(*)
        ) asked
        JOIN credits_creditaccount a ON a.id = asked.account
        WHERE asked.total <= (
            SELECT coalesce(sum(l.remaining - l.held), 0) FROM credits_lot l
            WHERE l.account_id = a.id AND l.is_open AND l.effective_at <= greatest(p_at, a.last_posted_at)
                  AND (l.expires_at IS NULL OR l.expires_at > greatest(p_at, a.last_posted_at)))
    );
END
$$;

-- Places the holds of `accounts`, which credits_can_hold has named.
CREATE FUNCTION credits_reserve(requests credits_request[], accounts uuid[], p_at timestamptz)
RETURNS TABLE (ord integer, status text, hold_id uuid, balance numeric, held numeric, available numeric,
               limit_remaining numeric)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH wallet AS MATERIALIZED (
        SELECT c.*, greatest(p_at, c.last_posted_at) AS moment FROM credits_creditaccount c WHERE c.id = ANY (accounts)
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
        RETURNING c.id, c.balance, c.held, c.low_balance_at,
                  credits_news(w.balance - w.held, c.balance - c.held, c.low_balance_at) AS news
    ), told AS (
        INSERT INTO outbox_domainevent (id, organization_id, type, data, actor_label, created_at, attempts, last_error)
        SELECT farebox_uuid7(), m.id, m.news, credits_figures(m.balance, m.held, m.low_balance_at), 'ledger', p_at, 0, ''
        FROM moved m WHERE m.news IS NOT NULL
    )
    SELECT i.ord, 'placed', i.id, w.balance, w.held + i.ends, coalesce(d.free, 0) - i.ends - w.overage - w.overage_held,
           NULL::numeric
    FROM item i JOIN wallet w ON w.id = i.account LEFT JOIN ladder d ON d.account_id = i.account;
END
$$;

-- Accounts whose every ending settles an open hold, once, within its amount, from lots that have not run out.
CREATE FUNCTION credits_can_settle(endings credits_ending[], p_at timestamptz) RETURNS uuid[] LANGUAGE plpgsql AS $$
BEGIN
    RETURN ARRAY(
        SELECT asked.account_id
        FROM (
            SELECT h.account_id
            FROM unnest(endings) e
            LEFT JOIN credits_hold h ON h.id = e.hold AND (e.account IS NULL OR e.account = h.account_id)
                                     AND NOT (e.api_only AND h.purpose <> 'api')
            GROUP BY h.account_id
            HAVING bool_and(h.status = 'open' AND e.amount >= 0 AND e.amount <= h.amount AND scale(e.amount) <= 12
                            AND h.limit_ids = '{}')
                   AND count(DISTINCT e.hold) = count(*)
        ) asked
        JOIN credits_creditaccount a ON a.id = asked.account_id
        WHERE a.overage_held = 0 AND NOT EXISTS (
            SELECT 1 FROM credits_lot l
            WHERE l.account_id = a.id AND l.is_open AND l.held > 0 AND l.expires_at <= greatest(p_at, a.last_posted_at))
    );
END
$$;

-- Settles the holds of `accounts`, which credits_can_settle has named.
CREATE FUNCTION credits_settle(endings credits_ending[], accounts uuid[], p_at timestamptz)
RETURNS TABLE (ord integer, status text, hold_id uuid, entry_id uuid, charged numeric, balance numeric, held numeric,
               available numeric, excess numeric)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH wallet AS MATERIALIZED (
        SELECT c.*, greatest(p_at, c.last_posted_at) AS moment,
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
        RETURNING c.id, c.balance, c.held, c.low_balance_at,
                  credits_news(w.balance - w.held, c.balance - c.held, c.low_balance_at) AS news
    ), told AS (
        INSERT INTO outbox_domainevent (id, organization_id, type, data, actor_label, created_at, attempts, last_error)
        SELECT farebox_uuid7(), m.id, m.news, credits_figures(m.balance, m.held, m.low_balance_at), 'ledger', p_at, 0, ''
        FROM moved m WHERE m.news IS NOT NULL
    )
    SELECT i.ord, 'settled', i.hold, CASE WHEN i.amount > 0 THEN i.id END, i.amount, w.balance - i.spent, w.held - i.freed,
           w.free + i.freed - i.spent - w.overage - w.overage_held, 0::numeric
    FROM item i JOIN wallet w ON w.id = i.account_id;
END
$$;
