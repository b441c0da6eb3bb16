"""Pages of people, organizations and keys."""

from django.urls import path

from accounts.views import front, keys

urlpatterns = [
    path("", front.home, name="home"),
    path("switch/", front.switch_organization, name="switch_organization"),
    path("preferences/theme/", front.set_theme, name="set_theme"),
    path("keys/", keys.api_keys, name="api_keys"),
    path("keys/new/", keys.new_api_key, name="api_key_new"),
    path("keys/<uuid:key_id>/revoke/", keys.revoke_key, name="api_key_revoke"),
    path("keys/<uuid:key_id>/rotate/", keys.rotate_key, name="api_key_rotate"),
]
