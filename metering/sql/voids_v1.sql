-- A voided event stays in the table, so that what was once charged can still be explained, but counts no longer.
ALTER TABLE metering_usageevent ADD COLUMN voided_at timestamptz;
