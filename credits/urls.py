"""Pages of the ledger."""

from django.urls import path

from credits import views

urlpatterns = [
    path("transactions/", views.transactions, name="transactions"),
    path("transactions/export.csv", views.transactions_csv, name="transactions_csv"),
    path("transactions/<uuid:entry_id>/", views.transaction, name="transaction"),
]
