"""HTTP: `granian --interface wsgi fynlo.wsgi:application`."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fynlo.settings")
application = get_wsgi_application()

from fynlo.ops.metrics import serve_metrics  # noqa: E402  (needs the apps loaded)
from fynlo.tenancy.checks import refuse_unsafe_role  # noqa: E402

refuse_unsafe_role()
serve_metrics()
