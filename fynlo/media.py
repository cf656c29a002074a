"""Pictures that people upload: looked at, drawn anew, and kept where the environment says.

What is stored is ours from the first byte to the last: nothing of the file that came survives but what it
shows. Its name cannot be guessed, and says nothing that came from a client.
"""

import errno
import io
import logging
import secrets
from urllib.parse import urljoin

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from PIL import Image, ImageOps

from fynlo.errors import DomainError, InvalidInput

logger = logging.getLogger(__name__)

MAX_BYTES = 5 * 1024 * 1024
MAX_PIXELS = 25_000_000  # a phone's 24 megapixels: 100 MB while it is being looked at
MAX_SIDE = 1200  # of what is kept, in pixels
FORMATS = ("JPEG", "PNG", "WEBP")

FAULTS: tuple[type[Exception], ...] = (OSError,)
if settings.ENV.media.use_spaces:
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    FAULTS = (OSError, Boto3Error, BotoCoreError, ClientError)


class PictureTooLarge(DomainError):
    status = 413
    code = "too_large"
    detail = f"A picture has at most {MAX_BYTES // 1024**2} MB."


class NotStored(DomainError):
    """The storage does not answer, or refuses: everything else goes on."""

    status = 503
    code = "not_stored"
    detail = "The picture could not be stored just now; try again later."
    retry_after: int | None = 30


class StorageFull(NotStored):
    status = 507
    code = "storage_full"
    detail = "There is no room for pictures any more; everything else goes on."
    retry_after = None


def redraw(upload: bytes, *, field: str) -> bytes:
    """A picture as a small WebP, upright and without what came with it (a phone says where it was taken).

    Told by its content, never by its name: JPEG, PNG or WebP. Raises PictureTooLarge, or InvalidInput at
    `field`; a picture of too many pixels is refused before any of them is unpacked.
    """
    if len(upload) > MAX_BYTES:
        raise PictureTooLarge(field=field)
    try:
        with Image.open(io.BytesIO(upload), formats=FORMATS) as picture:
            pixels = picture.width * picture.height
            return _drawn(picture) if pixels <= MAX_PIXELS else _refuse_pixels(field)
    except DomainError:
        raise
    except Exception as error:  # whatever a decoder makes of a broken or hostile file
        raise InvalidInput("This is no JPEG, PNG or WebP picture.", field=field) from error


def _refuse_pixels(field: str) -> bytes:
    raise InvalidInput(f"A picture has at most {MAX_PIXELS // 1_000_000} megapixels.", field=field)


def _drawn(picture: Image.Image) -> bytes:
    image = picture.convert("RGBA") if picture.mode in ("1", "P", "PA") else picture
    image.thumbnail((MAX_SIDE, MAX_SIDE))
    image = ImageOps.exif_transpose(image)
    image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    image.info.clear()
    drawn = io.BytesIO()
    image.save(drawn, "WEBP", quality=80)
    return drawn.getvalue()


def store(folder: str, content: bytes, *, field: str) -> str:
    """Keep a drawn picture; returns its name in the storage. Raises StorageFull or NotStored."""
    name = f"{folder}/{secrets.token_hex(16)}.webp"
    try:
        return default_storage.save(name, ContentFile(content))
    except FAULTS as error:
        logger.exception("A picture could not be stored")
        discard(name)
        is_full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise (StorageFull if is_full else NotStored)(field=field) from error


def discard(name: str) -> None:
    """Remove a picture that nothing shows any more. Where that fails it stays: it harms nobody."""
    if not name:
        return
    try:
        default_storage.delete(name)
    except FAULTS as error:
        logger.warning("A picture could not be removed: %s", error)


def url_of(name: str) -> str | None:
    """Where anybody finds a picture, as a whole URL; None for no picture."""
    return urljoin(settings.BASE_URL, default_storage.url(name)) if name else None
