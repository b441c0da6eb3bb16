"""The types of events that clients of the wire can name; those that nothing here brings about never come."""

CLIENT_TYPES = frozenset(
    f"{thing}.{news}"
    for thing, all_news in {
        "checkout": ("created", "updated", "expired"),
        "customer": ("created", "updated", "deleted", "state_changed"),
        "customer_seat": ("assigned", "claimed", "revoked"),
        "member": ("created", "updated", "deleted"),
        "order": ("created", "updated", "paid", "refunded"),
        "subscription": (
            *("created", "updated", "active", "canceled", "uncanceled", "cycled", "revoked", "past_due"),
            *("paused", "resumed", "migrated"),
        ),
        "refund": ("created", "updated"),
        "product": ("created", "updated"),
        "discount": ("created", "updated", "deleted"),
        "benefit": ("created", "updated"),
        "benefit_grant": ("created", "cycled", "updated", "revoked"),
        "organization": ("updated",),
    }.items()
    for news in all_news
)
