"""What every page knows, and pictures where no nginx stands before us."""

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.views.static import serve


def app_name(request: HttpRequest) -> dict[str, str]:
    return {"app_name": settings.APP_NAME}


def media_file(request: HttpRequest, name: str) -> HttpResponseBase:
    return serve(request, name, document_root=str(settings.MEDIA_ROOT))
