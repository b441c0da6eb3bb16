from django.db import migrations

_LOWER = """
UPDATE credits_creditaccount a
SET overage_limit = t.overage_limit, excess = greatest(a.overage + a.overage_held - t.overage_limit, 0)
FROM tiers_subscription s JOIN tiers_tier t ON t.id = s.tier_id
WHERE s.organization_id = a.id AND s.ended_at IS NULL AND a.overage_limit > t.overage_limit"""


class Migration(migrations.Migration):
    """Wallets that owed something when their tier came to allow less kept the higher limit for ever: they get their
    tier's, and what they owe beyond it is excess, which only shrinks. Touches those rows alone.
    """

    dependencies = [
        ("tiers", "0011_subscriptions_that_end_later"),
        ("credits", "0009_expiry_in_order_of_time"),
    ]

    operations = [migrations.RunSQL(_LOWER, migrations.RunSQL.noop)]
