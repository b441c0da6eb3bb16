"""Pages of plans."""

from django.urls import path

from tiers import views

urlpatterns = [
    path("plan/", views.plan, name="plan"),
    path("plan/switch/", views.switch, name="plan_switch"),
    path("plan/trial/", views.start_trial, name="plan_trial"),
    path("plan/cancel/", views.cancel, name="plan_cancel"),
    path("plan/reactivate/", views.reactivate, name="plan_reactivate"),
]
