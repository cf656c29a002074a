"""The menu of the demonstration restaurant."""

from pathlib import Path

MENU = Path(__file__).parent / "menu.csv"
