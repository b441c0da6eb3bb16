"""News of accounts and of the outbox itself in words."""

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from outbox.notices.kinds import BAD, MANAGERS, WARN, Facts, Kind, Words, add_kind, day_in, news

add_kind(
    Kind(
        "key_expiring",
        gettext_lazy("An API key is about to expire"),
        gettext_lazy("A week before it does, so that calls do not stop."),
        MANAGERS,
        by_email=True,
    )
)
add_kind(
    Kind(
        "webhook_disabled",
        gettext_lazy("A webhook is switched off"),
        gettext_lazy("After too many messages in a row that your server did not take. This letter always comes."),
        MANAGERS,
        by_email=True,
        writes_itself=True,
    )
)


@news("api_key.expiring", kind="key_expiring", level=WARN, icon="key-round")
def key_expiring(data: Facts) -> Words:
    """Which key, when."""
    names = {"name": data.get("name", ""), "day": day_in(data, data.get("expires_at"))}
    return Words(
        _("The API key “%(name)s” ends on %(day)s") % names,
        _("Rotate it before that: its successor has the same rights, and both work for a while."),
        reverse("api_keys"),
    )


@news("webhook.endpoint_disabled", kind="webhook_disabled", level=BAD, icon="plug")
def webhook_disabled(data: Facts) -> Words:
    """Which endpoint."""
    return Words(
        _("The webhook to %(host)s is switched off") % {"host": data.get("host", "")},
        _("It did not take its messages. Repair the receiver, switch it on again and send what it missed."),
        reverse("webhooks"),
    )
