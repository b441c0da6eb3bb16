-- The short way of the ledger: what can be foreseen to succeed whole is worked out and written in one statement for all
-- accounts of a batch, with running sums in place of a loop. It gives, to the digit, what the item-by-item functions give;
-- an account where any item may be refused, replayed or go below zero is left to those.
--
-- The caller holds the accounts' locks and has swept what has expired.

-- Accounts whose every item is a new spend that free credit covers together with the others.
CREATE FUNCTION credits_can_pay(items credits_item[], p_at timestamptz) RETURNS uuid[] LANGUAGE plpgsql AS $$
BEGIN
    RETURN ARRAY(
        SELECT asked.account
        FROM (
            SELECT i.account, sum(i.amount) AS total
            FROM unnest(items) i
            LEFT JOIN credits_ledgerentry x ON x.account_id = i.account AND x.key = i.key
            GROUP BY i.account
            HAVING bool_and(i.type = 'spend' AND i.amount > 0 AND scale(i.amount) <= 12 AND i.limits = '{}' AND x.id IS NULL)
                   AND count(DISTINCT i.key) = count(i.key)
        ) asked
        JOIN credits_creditaccount a ON a.id = asked.account
        WHERE asked.total <= (
            SELECT sum(l.remaining - l.held) FROM credits_lot l
            WHERE l.account_id = a.id AND l.is_open AND l.effective_at <= greatest(p_at, a.last_posted_at)
                  AND (l.expires_at IS NULL OR l.expires_at > greatest(p_at, a.last_posted_at)))
    );
END
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
        SELECT l.account_id, l.id, l.kind, l.remaining - l.held AS free, sum(l.remaining - l.held) OVER burn AS ends
        FROM wallet w JOIN credits_lot l ON l.account_id = w.id
        WHERE l.is_open AND l.remaining > l.held AND l.effective_at <= w.moment
              AND (l.expires_at IS NULL OR l.expires_at > w.moment)
        WINDOW burn AS (PARTITION BY l.account_id ORDER BY l.priority, l.expires_at NULLS LAST, l.created_at, l.id)
    ), ladder AS MATERIALIZED (
        SELECT l.account_id, array_agg(l.id ORDER BY l.ends) AS ids, array_agg(l.kind::text ORDER BY l.ends) AS kinds,
               array_agg(l.ends ORDER BY l.ends) AS ends, max(l.ends) AS free
        FROM lot l GROUP BY l.account_id
    ), item AS MATERIALIZED (
        SELECT i.*, sum(i.amount) OVER turn AS ends, row_number() OVER turn AS nth
        FROM unnest(items) i WHERE i.account = ANY (accounts)
        WINDOW turn AS (PARTITION BY i.account ORDER BY i.ord)
    ), total AS MATERIALIZED (
        SELECT i.account, max(i.ends) AS amount, count(*) AS entries FROM item i GROUP BY i.account
    ), posted AS (
        INSERT INTO credits_ledgerentry (
            id, account_id, number, kind, amount, balance_after, allocations, reason, actor, key, request_hash, event_id,
            effective_at, posted_at)
        SELECT i.id, w.id, w.entry_count + i.nth, i.kind, -i.amount, w.balance - i.ends,
               credits_overlap(i.ends - i.amount, i.ends, d.ends, d.ids, d.kinds),
               i.reason, i.actor, i.key, i.request_hash, i.event, w.moment, w.moment
        FROM item i JOIN wallet w ON w.id = i.account JOIN ladder d ON d.account_id = i.account
    ), burned AS (
        UPDATE credits_lot l SET remaining = l.remaining - least(t.amount - (x.ends - x.free), x.free)
        FROM lot x JOIN total t ON t.account = x.account_id
        WHERE l.id = x.id AND x.ends - x.free < t.amount
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
END
$$;

-- What the stretch from `starts` to `ends` takes from lots that end at `lot_ends` (ascending).
CREATE FUNCTION credits_overlap(starts numeric, ends numeric, lot_ends numeric[], ids uuid[], kinds text[]) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    n integer := width_bucket(starts, lot_ends) + 1;
    parts jsonb := '[]';
BEGIN
    LOOP
        parts := parts || jsonb_build_object(
            'lot', ids[n], 'kind', kinds[n], 'amount', credits_text(starts - least(ends, lot_ends[n])));
        EXIT WHEN ends <= lot_ends[n];
        starts := lot_ends[n];
        n := n + 1;
    END LOOP;
    RETURN parts;
END
$$;
