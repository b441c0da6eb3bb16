-- Takes what has run out by `at` from an account, each thing at its own instant, so that a late sweep posts what sweeps on
-- time would have posted: the free part of a lot where it ends, and what an API hold kept beyond that where the hold ends.
-- Holds that end at an instant go before lots. The caller holds the account's lock.
CREATE OR REPLACE FUNCTION credits_sweep(account uuid, at timestamptz) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    a credits_creditaccount;
    l credits_lot;
    e credits_ledgerentry;
    posted record;
    moment timestamptz;
    overdue jsonb;
    ended integer := 0;
    swept integer := 0;
BEGIN
    IF current_setting('farebox.sweeping', true) = account::text THEN
        RETURN 0;  -- asked for what a hold gave back: the sweep that has ended the hold goes on with it
    END IF;
    LOOP
        SELECT min(i.instant) INTO moment FROM (
            SELECT min(x.expires_at) AS instant FROM credits_lot x
            WHERE x.account_id = account AND x.remaining > x.held AND x.expires_at <= at
            UNION ALL
            -- what a hold gives back is gone at once where its lot has ended, else when that ends; other holds end together
            SELECT min(greatest(h.expires_at, x.expires_at))
            FROM credits_hold h
            CROSS JOIN LATERAL jsonb_array_elements(h.allocations) AS part
            JOIN credits_lot x ON x.id = (part ->> 'lot')::uuid AND x.expires_at <= at
            WHERE h.account_id = account AND h.status = 'open' AND h.purpose = 'api' AND h.expires_at <= at
        ) i;
        SELECT jsonb_agg(jsonb_build_object('hold', h.id, 'amount', 0)) INTO overdue FROM credits_hold h
        WHERE h.account_id = account AND h.status = 'open' AND h.purpose = 'api'
              AND h.expires_at <= coalesce(moment, at);
        EXIT WHEN moment IS NULL AND overdue IS NULL;
        IF overdue IS NOT NULL THEN
            PERFORM set_config('farebox.sweeping', account::text, true);
            ended := ended + (SELECT count(*) FROM credits_end_holds(overdue, at, 'expired'));
            PERFORM set_config('farebox.sweeping', '', true);
        END IF;
        SELECT * INTO a FROM credits_creditaccount WHERE id = account;
        FOR l IN SELECT * FROM credits_lot x WHERE x.account_id = account AND x.remaining > x.held
                                                   AND x.expires_at <= moment
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
    END LOOP;
    IF ended > 0 THEN
        PERFORM credits_announce(a, 'hold.expired', at);
    END IF;
    IF swept > 0 THEN
        PERFORM credits_announce(a, 'credits.expired', at);
    END IF;
    RETURN ended + swept;
END
$$;
