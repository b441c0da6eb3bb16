-- Gives a month of events a partition of its own and moves what the default partition holds of it there.
-- Answers whether it was made now. Writers of other months are not held up; a busy table makes it fail quickly
-- (lock_timeout) rather than queue in front of every writer, and it is tried again later.
CREATE FUNCTION metering_make_month(month date) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    starts timestamptz := date_trunc('month', month)::timestamp AT TIME ZONE 'UTC';
    ends timestamptz := (date_trunc('month', month) + interval '1 month')::timestamp AT TIME ZONE 'UTC';
    name text := 'metering_usageevent_' || to_char(month, 'YYYY_MM');
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('metering_make_month'));
    IF to_regclass(name) IS NOT NULL THEN
        RETURN false;
    END IF;
    SET LOCAL lock_timeout = '2s';
    EXECUTE format('CREATE TABLE %I (LIKE metering_usageevent INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name);
    LOCK TABLE metering_usageevent_default IN ACCESS EXCLUSIVE MODE;
    EXECUTE format(
        'WITH moved AS (DELETE FROM metering_usageevent_default WHERE occurred_at >= %L AND occurred_at < %L RETURNING *)
         INSERT INTO %I SELECT * FROM moved', starts, ends, name);
    EXECUTE format('ALTER TABLE metering_usageevent ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', name, starts, ends);
    RETURN true;
END
$$;
