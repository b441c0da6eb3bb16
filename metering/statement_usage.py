"""What a statement says about usage: the charges of its period by model and by meter."""

from collections.abc import Sequence

from django.db import connection

from core.jsonio import dumps_text
from credits.statements.lines import Range
from credits.statements.usage import UsageLine

# By when the charge was posted, not by when the event occurred: the lines must add up to the ledger's.
_CHARGED = """
WITH asked AS (
    SELECT * FROM jsonb_to_recordset(%s::jsonb)
    AS (ord integer, organization_id uuid, starts_at timestamptz, ends_at timestamptz)
), charged AS (
    SELECT a.ord, e.account_id, e.id AS entry_id, e.event_id, -e.amount AS amount
    FROM asked a JOIN credits_ledgerentry e
        ON e.account_id = a.organization_id AND e.posted_at >= a.starts_at
        AND e.effective_at >= a.starts_at AND e.effective_at < a.ends_at AND e.kind = 'charge'
    WHERE e.event_id IS NOT NULL
)
SELECT c.ord, CASE WHEN u.model = '' OR k.id IS NOT NULL THEN 'meter' ELSE 'model' END AS section,
       coalesce(k.meter_name, nullif(u.model, ''), nullif(u.name, ''), u.kind) AS label,
       count(*), coalesce(sum(u.prompt_tokens) FILTER (WHERE k.id IS NULL), 0),
       coalesce(sum(u.completion_tokens) FILTER (WHERE k.id IS NULL), 0), sum(coalesce(m.quantity, u.quantity)),
       sum(CASE WHEN k.id IS NULL THEN c.amount - u.markup ELSE 0 END),
       sum(CASE WHEN k.id IS NULL THEN u.markup ELSE c.amount END), sum(c.amount)
FROM charged c JOIN metering_usageevent u ON u.organization_id = c.account_id AND u.id = c.event_id
-- what a meter of the tier charged for the event, beside the event's own charge
LEFT JOIN metering_meteredcharge m ON m.organization_id = c.account_id AND m.entry_id = c.entry_id
LEFT JOIN metering_meteredcounter k ON k.id = m.counter_id
GROUP BY 1, 2, 3
ORDER BY 1, 2 DESC, 10 DESC, 3"""


def usage_of_statements(ranges: Sequence[Range]) -> list[list[UsageLine]]:
    """The lines of each range: models first, the dearest at the top of each section."""
    found: list[list[UsageLine]] = [[] for _ in ranges]
    asked = [
        {"ord": ord, "organization_id": each.organization_id, "starts_at": each.starts_at, "ends_at": each.ends_at}
        for ord, each in enumerate(ranges)
    ]
    with connection.cursor() as cursor:
        cursor.execute(_CHARGED, [dumps_text(asked)])
        for ord, section, label, events, *figures in cursor.fetchall():
            prompt, completion, quantity, cost, markup, charge = figures
            found[ord].append(
                UsageLine(section, label, events, int(prompt), int(completion), quantity, cost, markup, charge)
            )
    return found
