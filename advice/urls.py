"""Pages of the advice."""

from django.urls import path

from advice.what_if import pages as what_if_pages

urlpatterns = [
    path("what-if/", what_if_pages.what_if, name="what_if"),
    path("what-if/<uuid:run_id>/", what_if_pages.what_if_run, name="what_if_run"),
]
