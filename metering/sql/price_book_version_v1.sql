-- One row whose value is new after every change of the price book, so that a process with the book in memory finds out
-- with one tiny read whether it still holds. A random value, not a count: a rolled-back change must not leave a number
-- that another change takes again.
CREATE TABLE metering_pricebookversion (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    version uuid NOT NULL
);
INSERT INTO metering_pricebookversion (version) VALUES (gen_random_uuid());

CREATE FUNCTION metering_price_book_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE metering_pricebookversion SET version = gen_random_uuid();
    RETURN NULL;
END;
$$;

CREATE TRIGGER price_book_changed
    AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON metering_modelprice
    FOR EACH STATEMENT EXECUTE FUNCTION metering_price_book_changed();

-- last_seen_at is left out on purpose: a sync that finds nothing new makes nobody read the book again.
CREATE TRIGGER price_book_changed
    AFTER INSERT OR DELETE OR TRUNCATE OR UPDATE OF id, canonical_slug, name, context_length, max_completion_tokens,
        input_modalities, output_modalities, supported_parameters, details, source, vanished_at
    ON metering_languagemodel
    FOR EACH STATEMENT EXECUTE FUNCTION metering_price_book_changed();
