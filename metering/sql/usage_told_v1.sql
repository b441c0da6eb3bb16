-- News of each use, for organizations that have asked for it: only those whose webhook endpoints have chosen it.

CREATE FUNCTION metering_tell_usage() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    asked uuid[];
BEGIN
    SELECT array_agg(e.organization_id) INTO asked
    FROM outbox_webhookendpoint e
    WHERE e.organization_id IN (SELECT DISTINCT r.organization_id FROM recorded r)
      AND e.events @> ARRAY['usage.recorded']::varchar[];
    IF asked IS NULL THEN
        RETURN NULL;
    END IF;
    INSERT INTO outbox_domainevent (id, organization_id, type, data, actor_label, created_at, attempts, last_error)
    SELECT farebox_uuid7(), r.organization_id, 'usage.recorded',
           jsonb_build_object(
               'event_id', r.id, 'external_id', CASE WHEN r.hold_id IS NULL THEN r.external_id END,
               'kind', r.kind, 'name', r.name, 'source', r.source,
               'occurred_at', to_char(r.occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
               'model', r.model, 'provider', r.provider, 'status', r.status, 'prompt_tokens', r.prompt_tokens,
               'completion_tokens', r.completion_tokens, 'quantity', credits_text(r.quantity),
               'provider_cost', credits_text(r.provider_cost), 'markup', credits_text(r.markup),
               'charge', credits_text(r.charge), 'tags', r.tags, 'customer_id', r.customer_id,
               'external_customer_id', r.external_customer_id),
           'metering', r.received_at, 0, ''
    FROM recorded r WHERE r.organization_id = ANY (asked);
    RETURN NULL;
END
$$;

CREATE TRIGGER usage_told AFTER INSERT ON metering_usageevent
    REFERENCING NEW TABLE AS recorded FOR EACH STATEMENT EXECUTE FUNCTION metering_tell_usage();
