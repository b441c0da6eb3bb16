-- The one event table, partitioned by month of occurred_at so that old months can be detached whole.
-- Amounts are USD numeric(24, 12). Values without a sensible default must be given by the writer.
CREATE TABLE metering_usageevent (
    id uuid NOT NULL,
    organization_id uuid NOT NULL,
    occurred_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    kind varchar(10) NOT NULL,
    name varchar(128) NOT NULL DEFAULT '',
    source varchar(10) NOT NULL,
    external_id varchar(255),
    member_id uuid,
    api_key_id uuid,
    model varchar(160) NOT NULL DEFAULT '',
    provider varchar(80) NOT NULL DEFAULT '',
    prompt_tokens bigint NOT NULL DEFAULT 0,
    completion_tokens bigint NOT NULL DEFAULT 0,
    cached_tokens bigint NOT NULL DEFAULT 0,
    cache_write_tokens bigint NOT NULL DEFAULT 0,
    reasoning_tokens bigint NOT NULL DEFAULT 0,
    quantity numeric(24, 6) NOT NULL DEFAULT 0,
    provider_cost numeric(24, 12) NOT NULL DEFAULT 0,
    markup numeric(24, 12) NOT NULL DEFAULT 0,
    charge numeric(24, 12) NOT NULL DEFAULT 0,
    byok_cost numeric(24, 12) NOT NULL DEFAULT 0,
    is_free boolean NOT NULL DEFAULT false,
    is_byok boolean NOT NULL DEFAULT false,
    cost_source varchar(10) NOT NULL,
    price_id uuid,
    tier_slug varchar(40) NOT NULL DEFAULT '',
    generation_id varchar(80) NOT NULL DEFAULT '',
    hold_id uuid,
    entry_id uuid,
    status varchar(10) NOT NULL,
    latency_ms integer CHECK (latency_ms >= 0),
    tags jsonb NOT NULL DEFAULT '{}',
    metadata jsonb NOT NULL DEFAULT '{}',
    derivation jsonb NOT NULL DEFAULT '{}',
    corrects_id uuid,
    -- the organization comes first in every key, so that the table can be distributed by it
    PRIMARY KEY (organization_id, id, occurred_at)
) PARTITION BY RANGE (occurred_at);

-- lists and charts of one organization over a range
CREATE INDEX usage_event_by_time ON metering_usageevent (organization_id, occurred_at DESC, id DESC);

-- events outside every month that has a partition of its own
CREATE TABLE metering_usageevent_default PARTITION OF metering_usageevent DEFAULT;
