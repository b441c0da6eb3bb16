"""Pages of usage."""

from django.urls import path

from metering import (
    accuracy_pages,
    budget_pages,
    catalogue_pages,
    lab_pages,
    personal_pages,
    team_pages,
    usage_exports,
    usage_pages,
    views,
)

urlpatterns = [
    path("dashboard/", views.dashboard, name="dashboard"),
    path("dashboard/live/", views.dashboard_live, name="dashboard_live"),
    path("usage/", usage_pages.usage, name="usage"),
    path("usage/export.csv", usage_exports.usage_csv, name="usage_csv"),
    path("usage/export.json", usage_exports.usage_json, name="usage_json"),
    path("usage/focus.csv", usage_exports.usage_focus, name="usage_focus"),
    path("usage/personal/", personal_pages.personal_dashboard, name="personal_dashboard"),
    path("usage/events/", usage_pages.usage_events, name="usage_events"),
    path("usage/<uuid:event_id>/", usage_pages.usage_event, name="usage_event"),
    path("budgets/", budget_pages.budgets, name="budgets"),
    path("budgets/new/", budget_pages.new_budget, name="budget_new"),
    path("budgets/<uuid:budget_id>/", budget_pages.budget, name="budget"),
    path("budgets/<uuid:budget_id>/change/", budget_pages.change_budget, name="budget_change"),
    path("budgets/<uuid:budget_id>/delete/", budget_pages.remove_budget, name="budget_delete"),
    path("lab/", lab_pages.lab, name="lab"),
    path("lab/estimate/", lab_pages.lab_estimate, name="lab_estimate"),
    path("lab/ticket/", lab_pages.lab_ticket, name="lab_ticket"),
    path("estimates/", accuracy_pages.accuracy, name="estimate_accuracy"),
    path("estimates/live/", accuracy_pages.accuracy_live, name="estimate_accuracy_live"),
    path("lab/calls/<uuid:event_id>/", lab_pages.lab_outcome, name="lab_outcome"),
    path("teams/<uuid:team_id>/", team_pages.team_dashboard, name="team_dashboard"),
    path("models/", catalogue_pages.models, name="models"),
    path("models/<path:model_id>/", usage_pages.model, name="model"),
]
