-- Usage of an organization's own customers, counted in periods of receipt.
--
-- Whoever closes a customer's period must know that no event of it is still on its way: writers of customers' events hold
-- a shared lock of their organization until they commit, and a period is cut off under the exclusive one. An event that was
-- received before the cut but comes to the books after it counts as received at the cut.

CREATE FUNCTION metering_cutoff_key(organization uuid) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
    SELECT hashtext(organization::text)
$$;

-- Lets the writers of these events in, and answers when the events count as received: not before any cut already made.
CREATE FUNCTION metering_enter(events metering_report[], p_at timestamptz) RETURNS timestamptz LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtext('metering_cutoff'), k.key)
    FROM (SELECT DISTINCT metering_cutoff_key(e.organization_id) AS key FROM unnest(events) e ORDER BY 1) k;
    RETURN greatest(p_at, (
        SELECT max(c.not_before) FROM metering_usagecutoff c
        WHERE c.organization_id IN (SELECT e.organization_id FROM unnest(events) e)));
END
$$;

-- Waits for the events that are on their way and answers the cut: what is committed by now was received before it, and
-- whatever comes later counts as received at it or after it. Never before an earlier cut.
CREATE FUNCTION metering_cut_off(p_organization uuid, p_at timestamptz) RETURNS timestamptz LANGUAGE plpgsql AS $$
DECLARE
    cut timestamptz;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('metering_cutoff'), metering_cutoff_key(p_organization));
    INSERT INTO metering_usagecutoff AS c (organization_id, not_before) VALUES (p_organization, p_at)
    ON CONFLICT (organization_id) DO UPDATE SET not_before = greatest(c.not_before, excluded.not_before)
    RETURNING c.not_before INTO cut;
    RETURN cut;
END
$$;
