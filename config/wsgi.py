"""Django as a WSGI application."""

import os

from config.local import load_local_environment

load_local_environment()
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from django.core.wsgi import get_wsgi_application  # noqa: E402  (after the environment is complete)

application = get_wsgi_application()
