"""What every page knows."""

from django.conf import settings
from django.http import HttpRequest


def app_name(request: HttpRequest) -> dict[str, str]:
    return {"app_name": settings.APP_NAME}
