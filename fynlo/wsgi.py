"""HTTP: `granian --interface wsgi fynlo.wsgi:application`."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fynlo.settings")
application = get_wsgi_application()

from fynlo.tenancy.checks import refuse_unsafe_role  # noqa: E402  (needs the apps loaded)

refuse_unsafe_role()
