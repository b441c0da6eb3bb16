"""Paths of the ledger's API, below ``/api/v1/``."""

from django.urls import path

from credits import statement_views as s
from credits import viewsets as v

urlpatterns = [
    path("credits/balance", v.BalanceView.as_view(), name="credits-balance"),
    path("credits/transactions", v.EntryViewSet.as_view({"get": "list"}), name="credits-transactions"),
    path(
        "credits/transactions/export.csv",
        v.EntryViewSet.as_view({"get": "export"}),
        name="credits-transactions-csv",
    ),
    path(
        "credits/transactions/<uuid:pk>",
        v.EntryViewSet.as_view({"get": "retrieve"}),
        name="credits-transaction",
    ),
    path("credits/lots", v.LotViewSet.as_view({"get": "list"}), name="credits-lots"),
    path("credits/statements", s.StatementsView.as_view(), name="credits-statements"),
    path("credits/statements/current", s.CurrentStatementView.as_view(), name="credits-statement-current"),
    path("credits/statements/<uuid:pk>", s.StatementView.as_view(), name="credits-statement"),
    path("credits/statements/<uuid:pk>.csv", s.StatementCsvView.as_view(), name="credits-statement-csv"),
    path("credits/statements/<uuid:pk>.pdf", s.StatementPdfView.as_view(), name="credits-statement-pdf"),
    path("credits/allocate", v.AllocateView.as_view(), name="credits-allocate"),
    path("credits/deduct", v.DeductView.as_view(), name="credits-deduct"),
    path("credits/refund", v.RefundView.as_view(), name="credits-refund"),
    path("credits/holds", v.HoldViewSet.as_view({"get": "list", "post": "create"}), name="credits-holds"),
    path("credits/holds/<uuid:pk>", v.HoldViewSet.as_view({"get": "retrieve"}), name="credits-hold"),
    path(
        "credits/holds/<uuid:pk>/settle",
        v.HoldViewSet.as_view({"post": "settle"}),
        name="credits-hold-settle",
    ),
    path(
        "credits/holds/<uuid:pk>/release",
        v.HoldViewSet.as_view({"post": "release"}),
        name="credits-hold-release",
    ),
]
