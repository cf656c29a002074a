"""Every write about a restaurant itself, its floor and its menu."""

from .editing import delete_row, save_row, set_sold_out
from .menu_import import ImportReport, import_menu
from .restaurant import create_restaurant, next_number, tax_percents, update_restaurant

__all__ = [
    "ImportReport",
    "create_restaurant",
    "delete_row",
    "import_menu",
    "next_number",
    "save_row",
    "set_sold_out",
    "tax_percents",
    "update_restaurant",
]
