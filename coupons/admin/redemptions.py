"""Who redeemed what, and what that gave."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from core.admin import LargeTableAdmin
from core.templatetags.farebox import money
from coupons.models import Redemption
from coupons.words import gift_of


@admin.register(Redemption)
class RedemptionAdmin(LargeTableAdmin):
    """The history of redemptions."""

    list_display = ["redeemed_at", "code", "organization", "gave", "shown_credits", "actor"]
    list_filter = ["coupon__kind", "redeemed_at", "coupon__mode"]
    search_fields = ["=id", "coupon__code__istartswith", "coupon__partner", "organization__name", "=organization__id"]
    ordering = ["-id"]
    fields = [
        *("coupon", "organization", "gave", "credits", "credit_expires_at", "entry_id", "discount_id"),
        *("tier_slug", "had_purchased", "number", "key", "actor", "redeemed_at"),
    ]
    readonly_fields = ["gave"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Redemption]:
        """With the names of the tiers that were lent."""
        return super().get_queryset(request).with_coupons().select_related("organization")  # type: ignore[attr-defined]

    @admin.display(ordering="coupon__code")
    def code(self, redemption: Redemption) -> str:
        """Of which coupon."""
        return redemption.coupon.code

    @admin.display
    def gave(self, redemption: Redemption) -> str:
        """In words."""
        return gift_of(redemption)

    @admin.display(description="credit", ordering="credits")
    def shown_credits(self, redemption: Redemption) -> str:
        """USD added to the wallet."""
        return money(redemption.credits or None)
