import cProfile, pstats
from tests.restaurants.test_import_menu import *


def test_prof():
    pr = cProfile.Profile()
    pr.enable()
    test_ten_thousand_lines_load_in_seconds()
    pr.disable()
    pstats.Stats(pr).sort_stats("cumtime").print_stats(45)
