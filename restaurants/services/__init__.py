"""Every write about a restaurant itself, its floor and its menu."""

from .editing import delete_row, save_row, set_sold_out
from .menu_import import ImportReport, import_menu
from .photos import remove_photo, set_photo
from .restaurant import create_restaurant, next_number, tax_percents, update_restaurant
from .suspension import resume_restaurant, suspend_restaurant

__all__ = [
    "ImportReport",
    "create_restaurant",
    "delete_row",
    "import_menu",
    "next_number",
    "remove_photo",
    "resume_restaurant",
    "save_row",
    "set_photo",
    "set_sold_out",
    "suspend_restaurant",
    "tax_percents",
    "update_restaurant",
]
