"""An item's picture in the back office: on a page of its own, from the item's."""

from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from fynlo.tenancy.scope import restaurant_scope
from restaurants.models import MenuItem
from tests.restaurants.test_photo import drawn, files


@pytest.fixture(autouse=True)
def root(settings, tmp_path) -> Path:
    settings.MEDIA_ROOT = str(tmp_path)
    return tmp_path


@pytest.fixture
def item(restaurant) -> MenuItem:
    with restaurant_scope(restaurant.pk):
        return MenuItem.objects.get(code="BURGER")


def look(item: MenuItem) -> str:
    with restaurant_scope(item.restaurant_id):
        return MenuItem.objects.get(pk=item.pk).photo


def test_a_manager_shows_replaces_and_removes_a_picture(item, manager, office, root):
    browser = office(manager)
    change = f"/admin/restaurants/menuitem/{item.pk}/change/"
    place = f"/admin/restaurants/menuitem/{item.pk}/photo/"
    assert f'<a href="{place}">Add a picture</a>' in browser.get(change).content.decode()
    assert 'type="file"' in browser.get(place).content.decode()

    upload = SimpleUploadedFile("../../Olive's kitchen.php", drawn("JPEG"), "image/jpeg")
    answer = browser.post(place, {"photo": upload})
    assert (answer.status_code, answer["Location"]) == (302, change)
    assert files(root) == [look(item)]
    assert "Olive" not in look(item)
    assert f"/media/{look(item)}" in browser.get(change).content.decode()
    assert f"/media/{look(item)}" in browser.get(place).content.decode()

    assert browser.post(place, {"remove": "1"})["Location"] == change
    assert (look(item), files(root)) == ("", [])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"<script>", "This is no JPEG, PNG or WebP picture."),
        (b"\0" * (5 * 1024**2 + 1), "A picture has at most 5 MB."),
        (b"", "The submitted file is empty."),
        (None, "This field is required."),
    ],
)
def test_what_is_no_picture_is_refused_at_the_field(item, manager, office, root, content, says):
    form = {} if content is None else {"photo": SimpleUploadedFile("a.jpg", content, "image/jpeg")}
    answer = office(manager).post(f"/admin/restaurants/menuitem/{item.pk}/photo/", form)
    assert answer.status_code == 200
    assert answer.context["form"].errors == {"photo": [says]}
    assert (look(item), files(root)) == ("", [])


def test_a_strangers_item_is_not_there(item, stranger, office, root):
    browser = office(stranger)
    place = f"/admin/restaurants/menuitem/{item.pk}/photo/"
    assert browser.get(place).status_code == 404
    upload = SimpleUploadedFile("a.jpg", drawn("JPEG"), "image/jpeg")
    assert browser.post(place, {"photo": upload}).status_code == 404
    assert browser.post(place, {"remove": "1"}).status_code == 404
    assert (look(item), files(root)) == ("", [])


def test_a_waiter_is_not_let_in(item, waiter, office, root):
    upload = SimpleUploadedFile("a.jpg", drawn("JPEG"), "image/jpeg")
    answer = office(waiter).post(f"/admin/restaurants/menuitem/{item.pk}/photo/", {"photo": upload})
    assert answer.status_code == 302
    assert (look(item), files(root)) == ("", [])
