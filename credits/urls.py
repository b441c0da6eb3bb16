"""Pages of the ledger."""

from django.urls import path

from credits import statement_pages, views

urlpatterns = [
    path("transactions/", views.transactions, name="transactions"),
    path("transactions/export.csv", views.transactions_csv, name="transactions_csv"),
    path("transactions/<uuid:entry_id>/", views.transaction, name="transaction"),
    path("credits/statements/", statement_pages.statements, name="statements"),
    path("credits/statements/current/", statement_pages.current_statement, name="current_statement"),
    path("credits/statements/<uuid:statement_id>/", statement_pages.statement, name="statement"),
    path("credits/statements/<uuid:statement_id>/export.csv", statement_pages.export_csv, name="statement_csv"),
    path("credits/statements/<uuid:statement_id>/export.pdf", statement_pages.export_pdf, name="statement_pdf"),
]
