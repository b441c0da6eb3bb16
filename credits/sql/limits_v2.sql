-- The second version of what changes: the excess of a key's limit is what is spent and reserved beyond its ceiling now, not the
-- most that ever was. What was billed above one hold is made good by those that come to less, and gives no room of its own.
CREATE OR REPLACE FUNCTION credits_end_limits(h credits_hold, amount numeric, limit_amount numeric, event uuid, p_at timestamptz)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    cost numeric := coalesce(limit_amount, amount);
BEGIN
    UPDATE credits_spendlimit s SET
        held = s.held - h.limit_amount,
        spent = s.spent + cost,
        excess = greatest(s.spent + cost + s.held - h.limit_amount - s.ceiling, 0)
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
