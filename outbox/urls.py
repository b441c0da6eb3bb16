"""Pages of webhooks."""

from django.urls import path

from outbox.webhooks import views as v

urlpatterns = [
    path("webhooks/", v.endpoints, name="webhooks"),
    path("webhooks/new/", v.new_endpoint, name="webhook_new"),
    path("webhooks/messages/<uuid:message_id>/", v.message_page, name="webhook_message"),
    path("webhooks/messages/<uuid:message_id>/replay/", v.replay_message, name="webhook_message_replay"),
    path("webhooks/<uuid:endpoint_id>/", v.endpoint_page, name="webhook"),
    path("webhooks/<uuid:endpoint_id>/change/", v.change_endpoint, name="webhook_change"),
    path("webhooks/<uuid:endpoint_id>/rotate/", v.rotate_secret, name="webhook_rotate"),
    path("webhooks/<uuid:endpoint_id>/delete/", v.delete_endpoint, name="webhook_delete"),
    path("webhooks/<uuid:endpoint_id>/switch/", v.switch_endpoint, name="webhook_switch"),
    path("webhooks/<uuid:endpoint_id>/test/", v.test_endpoint, name="webhook_test"),
    path("webhooks/<uuid:endpoint_id>/replay/", v.replay_endpoint, name="webhook_replay_missed"),
]
