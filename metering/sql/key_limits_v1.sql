-- As in budgets_v2.sql, but what goes beyond a key's limit is what it is now, not the most that it ever was.
CREATE OR REPLACE FUNCTION metering_count_lines(reported metering_report[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM unnest(reported) e
                   WHERE e.metered IS NOT NULL AND e.hold_id IS NOT NULL AND e.limit_ids = '{}') THEN
        RETURN;
    END IF;
    UPDATE credits_spendlimit s SET
        spent = s.spent + d.amount,
        excess = greatest(s.spent + d.amount + s.held - s.ceiling, 0)
    FROM (SELECT line, sum(metering_metered(e.organization_id, e.id)) AS amount
          FROM unnest(reported) e
          JOIN credits_hold h ON h.account_id = e.organization_id AND h.id = e.hold_id
          CROSS JOIN unnest(h.limit_ids) AS line
          WHERE e.metered IS NOT NULL AND e.limit_ids = '{}'
          GROUP BY line) d
    WHERE s.id = d.line AND s.budget_id IS NULL AND d.amount > 0;
END
$$;
