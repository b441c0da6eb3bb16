from django.db import migrations

INCLUDED = {"analytics_days": None, "exports": ["csv", "json", "pdf"]}


def say_what_is_included(apps, schema_editor):
    """Every managed-credits tier has given all history and exports; its words said less than that.

    From now on the words are held to, so they are set right where they stand: nobody loses what they have.
    """
    tiers = apps.get_model("tiers", "Tier")
    for tier in tiers.objects.filter(catalogue="managed-credits"):
        tier.entitlements = {**tier.entitlements, **INCLUDED}
        tier.save(update_fields=["entitlements"])


class Migration(migrations.Migration):
    dependencies = [("tiers", "0008_metered_prices")]

    operations = [migrations.RunPython(say_what_is_included, migrations.RunPython.noop, elidable=True)]
