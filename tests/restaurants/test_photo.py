"""An item's picture: who may give it one, what counts as a picture, what is kept of it, and where."""

import io
import re
import struct
import subprocess
import zlib
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.core.files.storage import default_storage
from django.test import Client
from PIL import Image

from accounts.models import Device
from fynlo import media
from fynlo.events.models import Event
from fynlo.tenancy.scope import restaurant_scope
from restaurants.models import MenuItem, Restaurant
from tests import factories
from tests.orders.scene import look_at

SECRET = b"Olive's kitchen"


@pytest.fixture(autouse=True)
def root(settings, tmp_path) -> Path:
    settings.MEDIA_ROOT = str(tmp_path)
    return tmp_path


def drawn(kind: str, size: tuple[int, int] = (60, 40), mode: str = "RGB", **options) -> bytes:
    """A picture whose left half is red and whose right half is blue."""
    image = Image.new("RGB", size, "blue")
    image.paste("red", (0, 0, size[0] // 2, size[1]))
    file = io.BytesIO()
    image.convert(mode).save(file, kind, **options)
    return file.getvalue()


def from_a_phone() -> bytes:
    """Lying on its side, with the place and the phone's owner in it."""
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    exif[0x013B] = SECRET.decode()
    exif.get_ifd(0x8825).update({1: "N", 2: (51.0, 30.0, 26.0), 3: "W", 4: (0.0, 7.0, 39.0)})
    return drawn("JPEG", exif=exif, xmp=b"<x>" + SECRET + b"</x>", comment=SECRET)


def put(client, item, picture: bytes, kind: str = "image/jpeg"):
    url = client.url(f"items/{item.pk}/photo")
    return client.http.put(url, picture, content_type=kind, headers=client.headers)


@pytest.fixture
def burger(restaurant) -> MenuItem:
    return look(restaurant)


def look(restaurant) -> MenuItem:
    with restaurant_scope(restaurant.pk):
        return MenuItem.objects.get(code="BURGER")


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def standing(restaurant, root):
    """All that an upload could change."""
    with restaurant_scope(restaurant.pk):
        version = Restaurant.objects.values_list("menu_version", flat=True).get()
        return look(restaurant).photo, version, Event.objects.count(), files(root)


def test_an_item_gets_a_picture_and_loses_it(restaurant, burger, manager, waiter, api, root):
    before = api(waiter).get("menu")
    answer = put(api(manager), burger, from_a_phone())
    assert answer.status_code == 200
    (name,) = files(root)
    assert re.fullmatch(rf"restaurants/{restaurant.pk}/menu/[0-9a-f]{{32}}\.webp", name)
    url = answer.json()["photo_url"]
    assert url == f"http://127.0.0.1:8000/media/{name}"
    assert answer.json()["name"] == "Burger"

    after = api(waiter).get("menu", If_None_Match=before["ETag"])
    assert (after.status_code, after.json()["version"]) == (200, before.json()["version"] + 1)
    shown = {item["name"]: item["photo_url"] for item in after.json()["categories"][0]["items"]}
    assert shown == {"Burger": url, "Fries": None, "Cake": None}
    with restaurant_scope(restaurant.pk):
        event = Event.objects.latest("seq")
    assert (event.kind, event.payload["changed"]) == ("menu.changed", ["photo"])
    assert (event.payload["row"]["photo_url"], event.actor["name"]) == (url, manager.name)

    second = put(api(manager), burger, drawn("PNG"), "image/png").json()["photo_url"]
    assert second != url
    assert files(root) == [second.removeprefix("http://127.0.0.1:8000/media/")]
    for _ in range(2):
        assert api(manager).delete(f"items/{burger.pk}/photo").status_code == 204
    assert files(root) == []
    assert api(manager).get(f"items/{burger.pk}").json()["photo_url"] is None


def test_nothing_of_the_file_is_kept_but_what_it_shows(burger, manager, api, root):
    upload = from_a_phone()
    assert SECRET in upload
    url = put(api(manager), burger, upload).json()["photo_url"]
    served = Client().get(urlsplit(url).path)
    content = b"".join(served.streaming_content)
    assert (served["Content-Type"], served["X-Content-Type-Options"]) == ("image/webp", "nosniff")
    assert content == (root / files(root)[0]).read_bytes()
    assert SECRET not in content
    with Image.open(io.BytesIO(content)) as image:
        assert (image.format, image.size) == ("WEBP", (40, 60))  # upright
        assert dict(image.getexif()) == {}
        assert not {"exif", "xmp", "icc_profile"} & image.info.keys()
        top, bottom = image.convert("RGB").getpixel((20, 5)), image.convert("RGB").getpixel((20, 55))
    assert top[0] > 200 > bottom[0]
    assert bottom[2] > 200 > top[2]


@pytest.mark.parametrize(
    ("kind", "mode", "options", "kept"),
    [
        ("JPEG", "L", {}, "RGB"),
        ("JPEG", "CMYK", {}, "RGB"),
        ("PNG", "RGBA", {}, "RGB"),  # nothing of it is transparent
        ("PNG", "P", {}, "RGB"),
        ("PNG", "1", {}, "RGB"),
        ("WEBP", "RGB", {"lossless": True}, "RGB"),
    ],
)
def test_every_picture_is_drawn_anew(burger, manager, api, root, kind, mode, options, kept):
    upload = drawn(kind, (2400, 900), mode, **options)
    # It says it is something else: what it is decides.
    assert put(api(manager), burger, upload, "image/png").status_code == 200
    with Image.open(root / files(root)[0]) as image:
        assert (image.format, image.size, image.mode) == ("WEBP", (1200, 450), kept)


def test_what_is_transparent_stays_so(burger, manager, api, root):
    file = io.BytesIO()
    Image.new("RGBA", (10, 10), (0, 0, 0, 0)).save(file, "PNG")
    assert put(api(manager), burger, file.getvalue()).status_code == 200
    with Image.open(root / files(root)[0]) as image:
        assert image.convert("RGBA").getpixel((5, 5))[3] == 0


def bomb(width: int = 60_000, height: int = 60_000) -> bytes:
    """A PNG of a few bytes that says it has billions of pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


NO_PICTURE = "This is no JPEG, PNG or WebP picture."
REFUSED = {
    "a page": (b"<script>alert(1)</script>", NO_PICTURE),
    "a drawing that runs": (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", NO_PICTURE),
    "a GIF": (drawn("GIF"), NO_PICTURE),
    "a TIFF": (drawn("TIFF"), NO_PICTURE),
    "half of one": (drawn("JPEG", (600, 400))[:900], NO_PICTURE),
    "too many pixels": (bomb(5001, 5000), "A picture has at most 25 megapixels."),
    "a bomb": (bomb(), NO_PICTURE),
    "nothing": (b"", "Send the picture as the body."),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_picture_changes_nothing(restaurant, burger, manager, api, root, what):
    put(api(manager), burger, drawn("JPEG"))
    before = standing(restaurant, root)
    upload, detail = REFUSED[what]
    answer = put(api(manager), burger, upload)
    assert (answer.status_code, answer["Content-Type"]) == (422, "application/problem+json")
    assert answer.json()["errors"] == [{"field": "photo", "code": "invalid", "detail": detail}]
    assert standing(restaurant, root) == before


def test_too_much_or_of_another_kind_is_not_read(restaurant, burger, manager, api, root):
    before = standing(restaurant, root)
    largest = drawn("JPEG") + b"\0" * (media.MAX_BYTES - len(drawn("JPEG")))
    answer = put(api(manager), burger, largest + b"\0")
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert answer.json()["errors"][0]["field"] == "photo"
    answer = put(api(manager), burger, drawn("JPEG"), "application/json")
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    assert standing(restaurant, root) == before
    assert put(api(manager), burger, largest).status_code == 200


def test_who_may(restaurant, burger, manager, owner, waiter, cook, stranger, api, root):
    put(api(manager), burger, drawn("JPEG"))
    before = standing(restaurant, root)
    till = factories.device(restaurant, Device.Kind.TILL)
    place = f"items/{burger.pk}/photo"
    for caller in (waiter, cook, till):
        assert put(api(caller), burger, drawn("PNG")).status_code == 403
        assert api(caller).delete(place).status_code == 403
    nobody = api(restaurant_id=restaurant.pk)
    assert [put(nobody, burger, drawn("PNG")).status_code, nobody.delete(place).status_code] == [401, 401]
    elsewhere = api(stranger, restaurant_id=restaurant.pk)
    for client, status in ((elsewhere, 403), (api(stranger), 404)):
        assert put(client, burger, drawn("PNG")).status_code == status
        assert client.delete(place).status_code == status
    assert standing(restaurant, root) == before
    assert put(api(owner), burger, drawn("PNG")).status_code == 200


def test_with_its_item_a_picture_goes_too(restaurant, burger, manager, api, root):
    put(api(manager), burger, drawn("JPEG"))
    assert api(manager).delete(f"items/{burger.pk}").status_code == 204
    assert files(root) == []


def test_a_picture_that_nobody_shows_is_not_left_behind(restaurant, burger, manager, api, root, monkeypatch):
    """The item goes while its picture is being stored."""
    usual = media.store

    def store_slowly(*args, **kwargs):
        name = usual(*args, **kwargs)
        with restaurant_scope(restaurant.pk):
            MenuItem.objects.filter(pk=burger.pk).delete()
        return name

    monkeypatch.setattr(media, "store", store_slowly)
    assert put(api(manager), burger, drawn("JPEG")).status_code == 404
    assert files(root) == []


def test_names_never_lead_out_of_the_folder(root):
    (root.parent / "secret.webp").write_bytes(b"x")
    for name in ("../secret.webp", "%2e%2e/secret.webp", "restaurants/../../secret.webp"):
        assert Client().get(f"/media/{name}").status_code == 400
    assert Client().get("/media/restaurants/").status_code == 404


@pytest.fixture
def full_disk(settings, tmp_path_factory):
    """A file system of one page for the folder of pictures, which is full."""
    place = tmp_path_factory.mktemp("full")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", place], capture_output=True)
    if mounted.returncode:
        pytest.skip("A FULL DISK IS NOT TESTED: that needs root, who may mount a small one.")
    try:
        with pytest.raises(OSError, match="No space left"):
            (place / "filler").write_bytes(b"\0" * 128 * 1024)
        settings.MEDIA_ROOT = str(place)
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def test_a_full_disk_refuses_pictures_and_nothing_else(restaurant, burger, manager, waiter, api, full_disk):
    before = standing(restaurant, full_disk)
    answer = put(api(manager), burger, drawn("JPEG", (800, 800)))
    assert (answer.status_code, answer["Content-Type"]) == (507, "application/problem+json")
    assert answer.json()["title"] == "No room left"
    assert answer.json()["errors"] == [
        {
            "field": "photo",
            "code": "storage_full",
            "detail": "There is no room for pictures any more; everything else goes on.",
        }
    ]
    assert standing(restaurant, full_disk) == before
    assert api(waiter).get("menu").status_code == 200
    assert (
        api(waiter).post("orders", look_at(restaurant).takeaway(look_at(restaurant).burger())).status_code
        == 201
    )
    (full_disk / "filler").unlink()
    assert put(api(manager), burger, drawn("JPEG")).status_code == 200
    assert default_storage.exists(look(restaurant).photo)
