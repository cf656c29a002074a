"""Times of day as tills and kitchens write them: 18:05, not 6:05 p.m."""

TIME_FORMAT = "H:i"
DATETIME_FORMAT = "j M Y, H:i"
