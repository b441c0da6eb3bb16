"""Pages of the provider side."""

from django.urls import path

from openrouter import views

urlpatterns = [
    path("openrouter/", views.account, name="provider_account"),
    path("openrouter/status/", views.account_status, name="provider_status"),
    path("openrouter/create/", views.create_account, name="provider_create"),
    path("openrouter/sync/", views.sync_account, name="provider_sync"),
    path("openrouter/delete/", views.delete_account, name="provider_delete"),
    path("openrouter/own-key/", views.store_own_key, name="own_key"),
    path("openrouter/own-key/check/", views.check_own_key, name="own_key_check"),
    path("openrouter/own-key/remove/", views.remove_own_key, name="own_key_remove"),
]
