-- What was credited on a meter is never edited: a revocation or a reset is a row of its own.
CREATE FUNCTION billing_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger of meter credit is append-only'
        USING ERRCODE = 'integrity_constraint_violation';
END
$$;

CREATE TRIGGER meter_credit_is_append_only BEFORE UPDATE OR DELETE ON billing_metercredit
    FOR EACH ROW EXECUTE FUNCTION billing_refuse_change();
CREATE TRIGGER meter_credit_is_never_truncated BEFORE TRUNCATE ON billing_metercredit
    FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_change();
