"""Operators' view of what organizations sell to customers of their own. Nothing is changed here."""

from billing.admin.customers import CustomerAdmin, CustomerMeterAdmin, MeterCreditAdmin
from billing.admin.products import BenefitAdmin, ProductAdmin
from billing.admin.sales import ChargeAdmin, CheckoutAdmin, CustomerSubscriptionAdmin, OrderAdmin, RefundAdmin

__all__ = [
    "BenefitAdmin",
    "ChargeAdmin",
    "CheckoutAdmin",
    "CustomerAdmin",
    "CustomerMeterAdmin",
    "CustomerSubscriptionAdmin",
    "MeterCreditAdmin",
    "OrderAdmin",
    "ProductAdmin",
    "RefundAdmin",
]
