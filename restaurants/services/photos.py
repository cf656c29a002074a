"""An item's picture. Storing it may go over a network, so these open transactions of their own."""

from uuid import UUID

from accounts.staff import Staff
from fynlo import media
from fynlo.errors import NotFound
from fynlo.tenancy.scope import restaurant_scope
from restaurants.models import MenuItem

from .editing import save_row

FIELD = "photo"


def set_photo(item_id: UUID, upload: bytes, *, by: Staff) -> MenuItem:
    """Show an item by this picture, in place of any before it.

    Raises NotFound, PictureTooLarge, InvalidInput for what is no picture, StorageFull or NotStored.
    """
    with restaurant_scope(by.restaurant_id):
        _find(item_id)
    drawn = media.redraw(upload, field=FIELD)
    name = media.store(f"restaurants/{by.restaurant_id}/menu", drawn, field=FIELD)
    try:
        return _show(item_id, name, by)
    except BaseException:  # nobody would ever find the file
        media.discard(name)
        raise


def remove_photo(item_id: UUID, *, by: Staff) -> MenuItem:
    """Show an item without a picture; nothing happens where it has none. Raises NotFound."""
    return _show(item_id, "", by)


def _show(item_id: UUID, name: str, by: Staff) -> MenuItem:
    with restaurant_scope(by.restaurant_id):
        item = _find(item_id)
        old = item.photo
        save_row(item, {"photo": name}, by=by)
    media.discard(old)
    return item


def _find(item_id: UUID) -> MenuItem:
    """The item, locked, with all that its payload tells."""
    item = MenuItem.objects.select_for_update().prefetch_related("group_links").filter(pk=item_id).first()
    if item is None:
        raise NotFound
    return item
