from django.db import migrations


def mark_known_sales(apps, schema_editor):
    """Say of subscriptions that a sender made who that was: the audit trail tells it.

    Their ids stay open, since an order's and a subscription's look alike there; the sender's next message names it.
    """
    subscriptions, facts = apps.get_model("tiers", "Subscription"), apps.get_model("outbox", "DomainEvent")
    senders = apps.get_model("payments", "IncomingEvent").objects.filter(provider__startswith="standard:")
    sources = {name.partition(":")[2] for name in senders.values_list("provider", flat=True).distinct()}
    if not sources:
        return
    made = facts.objects.filter(type="tier.changed", actor_label__in=sources).values_list("actor_label", "data")
    for source, data in made.iterator():
        rows = subscriptions.objects.filter(id=data["subscription_id"], ended_at=None, collection="none", sold_by="")
        rows.update(sold_by=source)


class Migration(migrations.Migration):
    dependencies = [
        ("tiers", "0005_sales_made_elsewhere"),
        ("outbox", "0003_jobs_and_emails"),
        ("payments", "0002_payment_pages_counted"),
    ]

    operations = [
        migrations.RunPython(mark_known_sales, migrations.RunPython.noop, elidable=True),
    ]
