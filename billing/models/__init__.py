"""A merchant's customers, what he sells them, what they bought, and the credit on their meters.

The merchant is an :class:`accounts.models.Organization`; his customers are not: they own no wallet, hold no keys and
never sign in. Money is whole cents of USD; ``unit_amount`` is cents with up to 12 places.
"""

from billing.models.catalogue import (
    Benefit,
    BenefitType,
    Interval,
    PriceKind,
    Product,
    ProductBenefit,
    ProductPrice,
)
from billing.models.credits import BenefitGrant, CreditKind, CustomerMeter, MeterCredit
from billing.models.customers import (
    BalanceConvention,
    Customer,
    CustomerSession,
    EventLabel,
    MerchantSettings,
    StateNotice,
    SystemEvent,
)
from billing.models.payments import Charge, ChargeStatus
from billing.models.refunds import Refund, RefundReason, RefundStatus
from billing.models.sales import (
    BillingReason,
    Checkout,
    CheckoutProduct,
    CheckoutStatus,
    Order,
    OrderItem,
    OrderStatus,
)
from billing.models.subscriptions import CustomerSubscription, SubscriptionPrice, SubscriptionStatus

__all__ = [
    "BalanceConvention",
    "Benefit",
    "BenefitGrant",
    "BenefitType",
    "BillingReason",
    "Charge",
    "ChargeStatus",
    "Checkout",
    "CheckoutProduct",
    "CheckoutStatus",
    "CreditKind",
    "Customer",
    "CustomerMeter",
    "CustomerSession",
    "CustomerSubscription",
    "EventLabel",
    "Interval",
    "MerchantSettings",
    "MeterCredit",
    "Order",
    "OrderItem",
    "OrderStatus",
    "PriceKind",
    "Product",
    "ProductBenefit",
    "ProductPrice",
    "Refund",
    "RefundReason",
    "RefundStatus",
    "StateNotice",
    "SubscriptionPrice",
    "SubscriptionStatus",
    "SystemEvent",
]
