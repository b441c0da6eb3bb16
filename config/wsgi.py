"""Django as a WSGI application."""

from config.startup import begin

begin()

from django.core.wsgi import get_wsgi_application  # noqa: E402  (after the environment is complete)

application = get_wsgi_application()
