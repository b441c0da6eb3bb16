-- Grants of a batch in one statement for all accounts: what a period close posts for thousands at a time. It gives, to the
-- digit, what post_entries gives; an account where any item was posted before, or where a purchase settles what is owed,
-- is left to that.
--
-- Items: grants as post_entries takes them. The caller holds the accounts' locks and has swept what has expired.
CREATE FUNCTION post_grants(p_items jsonb, p_at timestamptz)
RETURNS TABLE (ord integer, status text, entry_id uuid, balance numeric) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    plain uuid[];
BEGIN
    SELECT coalesce(array_agg(asked.account), '{}') INTO plain
    FROM (
        SELECT i.account
        FROM jsonb_to_recordset(p_items) AS i (account uuid, key text, lot_kind text)
        JOIN credits_creditaccount a ON a.id = i.account
        LEFT JOIN credits_ledgerentry x ON x.account_id = i.account AND x.key = i.key
        GROUP BY i.account
        HAVING bool_and(x.id IS NULL AND (i.lot_kind <> 'purchased' OR a.overage = 0))
               AND count(DISTINCT i.key) = count(i.key)
    ) asked;

    RETURN QUERY
    WITH item AS MATERIALIZED (
        SELECT t.ord::integer AS place, farebox_uuid7() AS id, t.*,
               a.balance + sum(t.amount) OVER earlier AS balance_after,
               a.entry_count + row_number() OVER earlier AS number,
               greatest(p_at, a.last_posted_at) AS moment
        FROM ROWS FROM (jsonb_to_recordset(p_items) AS (
                account uuid, amount numeric, key text, request_hash text, reason text, actor text, kind text,
                lot uuid, lot_kind text, priority smallint, effective_at timestamptz, expires_at timestamptz,
                counts_from timestamptz)) WITH ORDINALITY
             AS t (account, amount, key, request_hash, reason, actor, kind, lot, lot_kind, priority, effective_at,
                   expires_at, counts_from, ord)
        JOIN credits_creditaccount a ON a.id = t.account
        WHERE t.account = ANY (plain)
        WINDOW earlier AS (PARTITION BY t.account ORDER BY t.ord)
    ), lot AS (
        INSERT INTO credits_lot (id, account_id, kind, amount, remaining, held, priority, effective_at, expires_at, created_at)
        SELECT i.lot, i.account, i.lot_kind, i.amount, i.amount, 0, i.priority, i.effective_at, i.expires_at, i.moment
        FROM item i
    ), entry AS (
        INSERT INTO credits_ledgerentry (id, account_id, number, kind, amount, balance_after, allocations, reason, actor, key,
                                         request_hash, effective_at, posted_at)
        SELECT i.id, i.account, i.number, i.kind, i.amount, i.balance_after,
               jsonb_build_array(jsonb_build_object('lot', i.lot, 'kind', i.lot_kind, 'amount', credits_text(i.amount))),
               left(coalesce(i.reason, ''), 300), left(coalesce(i.actor, ''), 120), i.key, coalesce(i.request_hash, ''),
               coalesce(i.counts_from, i.moment), i.moment
        FROM item i ORDER BY i.account, i.number
    ), account AS (
        UPDATE credits_creditaccount c
        SET balance = c.balance + s.amount, entry_count = s.number, last_posted_at = s.moment
        FROM (SELECT i.account, sum(i.amount) AS amount, max(i.number) AS number, max(i.moment) AS moment
              FROM item i GROUP BY i.account) s
        WHERE c.id = s.account
    )
    SELECT i.place, 'posted', i.id, i.balance_after FROM item i;

    RETURN QUERY
    WITH other AS MATERIALIZED (
        SELECT o, i, row_number() OVER (ORDER BY o) AS place
        FROM jsonb_array_elements(p_items) WITH ORDINALITY AS t (i, o)
        WHERE (i ->> 'account')::uuid <> ALL (plain)
    )
    SELECT other.o::integer, p.status, p.entry_id, p.balance
    FROM post_entries((SELECT jsonb_agg(i ORDER BY o) FROM other), p_at) p JOIN other ON other.place = p.ord
    WHERE EXISTS (SELECT FROM other);
END
$$;
