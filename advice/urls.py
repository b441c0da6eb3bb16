"""Pages of the advice."""

from django.urls import path

from advice.findings import pages as recommendation_pages
from advice.what_if import pages as what_if_pages
from advice.written import pages as written_pages

urlpatterns = [
    path("what-if/", what_if_pages.what_if, name="what_if"),
    path("what-if/<uuid:run_id>/", what_if_pages.what_if_run, name="what_if_run"),
    path("recommendations/", recommendation_pages.recommendations, name="recommendations"),
    path("recommendations/advice/", written_pages.written, name="written_advice"),
    path("recommendations/advice/ask/", written_pages.ask, name="ask_for_advice"),
    *(
        path(
            f"recommendations/<uuid:recommendation_id>/{decision}/",
            recommendation_pages.decide,
            {"decision": decision},
            name=f"recommendation_{decision}",
        )
        for decision in ("apply", "withdraw", "dismiss", "reopen")
    ),
]
