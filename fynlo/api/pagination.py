"""Lists come in pages, with a cursor that new rows do not shift."""

from rest_framework import pagination


class CursorPagination(pagination.CursorPagination):
    """Newest first by id: UUIDv7 ids are in the order of their making."""

    ordering = "-id"
    page_size_query_param = "page_size"
    max_page_size = 200
    invalid_cursor_message = "This cursor is not valid."
