"""Pages of reports."""

from django.urls import path

from reports import views

urlpatterns = [
    path("reports/", views.reports, name="reports"),
    path("reports/new/", views.new_report, name="report_new"),
    path("reports/unsubscribe/<str:token>/", views.unsubscribe, name="report_unsubscribe"),
    path("reports/again/<uuid:recipient_id>/", views.get_again, name="report_again"),
    path("reports/<uuid:report_id>/", views.report, name="report"),
    path("reports/<uuid:report_id>.pdf", views.report_file, name="report_file"),
    path("reports/sent/<uuid:subscription_id>/", views.report_recipients, name="report_recipients"),
    path("reports/sent/<uuid:subscription_id>/preview/", views.report_preview, name="report_preview"),
    path("reports/sent/<uuid:subscription_id>/cancel/", views.cancel_report, name="report_cancel"),
]
