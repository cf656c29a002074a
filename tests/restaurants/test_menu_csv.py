"""Reading a menu from CSV, without a database."""

import pytest

from restaurants.menu_csv import BadLine, GroupSpec, ItemLine, UnusableFile, read_menu_file

HEADER = "category,name,price,code,description,tax_class,station,modifiers\n"


def read(text, currency="GBP"):
    return read_menu_file(text.encode() if isinstance(text, str) else text, currency)


def reasons(row, currency="GBP"):
    """What is wrong with one row below the usual header."""
    file = read(HEADER + row + "\n", currency)
    assert file.items == []
    (bad,) = file.bad_lines
    assert bad.line == 2
    return list(bad.reasons)


def groups(cell, currency="GBP"):
    file = read(f'category,name,price,modifiers\nMains,Steak,1,"{cell}"\n', currency)
    assert file.bad_lines == []
    return file.groups, file.items[0].group_names


def test_a_line_becomes_an_item():
    file = read(
        HEADER + "Mains,Steak,24.50,STK,Hung for weeks,Hot food,Grill,Doneness[1-1]: Rare | Well done\n"
    )
    assert file.bad_lines == []
    assert file.items == [
        ItemLine(
            line=2,
            category="Mains",
            name="Steak",
            price_minor=2450,
            code="STK",
            description="Hung for weeks",
            tax_class="Hot food",
            station="Grill",
            group_names=("Doneness",),
        )
    ]
    assert file.groups == {"Doneness": GroupSpec("Doneness", 1, 1, (("Rare", 0), ("Well done", 0)))}


def test_three_columns_are_enough_in_any_order_and_case():
    (item,) = read("Price, NAME ,category\n9,Soup,Starters\n").items
    assert (item.category, item.name, item.price_minor) == ("Starters", "Soup", 900)
    assert (item.code, item.tax_class, item.station) == ("", "", "")
    assert (item.description, item.group_names) == (None, None)


def test_names_are_kept_exactly():
    text = HEADER + '"Ma\'ins"," Ça ""fé"" 🍔 ",1,,"two\nlines, and a comma",,,\n'
    (item,) = read(text).items
    assert (item.category, item.name, item.description) == (
        "Ma'ins",
        ' Ça "fé" 🍔 ',
        "two\nlines, and a comma",
    )


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_any_line_end_and_a_byte_order_mark_will_do(line_end):
    text = line_end.join(["category,name,price", "Mains,Steak,1", "", ",,", "Mains,Fish,2"]) + line_end
    file = read(b"\xef\xbb\xbf" + text.encode())
    assert [(item.line, item.name) for item in file.items] == [(2, "Steak"), (5, "Fish")]
    assert file.bad_lines == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("category,name,price\nCafé,x,1\n".encode("latin-1"), "The file is not UTF-8 (line 2)."),
        ("category,name,price\n".encode("utf-16"), "The file is not UTF-8 (line 1)."),
        (b"", "The first line has no category, name, price."),
        (b"category,name\nMains,Steak\n", "The first line has no price."),
        (b"category;name;price\nMains;Steak;1\n", "The first line has no category, name, price."),
        (b"category,name,price,colour,size\n", "Unknown columns: 'colour', 'size'."),
        (b"category,name,price,Name\n", "The first line has a column twice."),
        (b'category,"name,price\n', "The first line cannot be read"),
    ],
)
def test_what_is_no_menu_is_refused(content, message):
    with pytest.raises(UnusableFile) as refused:
        read(content)
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize(
    ("price", "currency", "minor"),
    [
        ("12.50", "GBP", 1250),
        (" 12.5 ", "GBP", 1250),
        ("0", "GBP", 0),
        ("0.29", "GBP", 29),
        ("1000000.00", "GBP", 100_000_000),
        ("1250", "JPY", 1250),
        ("1.234", "KWD", 1234),
    ],
)
def test_a_price_is_read_to_the_penny(price, currency, minor):
    (item,) = read(f"category,name,price\nMains,Steak,{price}\n", currency).items
    assert item.price_minor == minor


@pytest.mark.parametrize(
    ("price", "currency", "reason"),
    [
        ("", "GBP", "price: '' is not an amount such as 12.50"),
        ("free", "GBP", "price: 'free' is not an amount such as 12.50"),
        ("-1", "GBP", "price: '-1' is not an amount such as 12.50"),
        ("£12", "GBP", "price: '£12' is not an amount such as 12.50"),
        ('"12,50"', "GBP", "price: '12,50' is not an amount such as 12.50"),
        ("1e3", "GBP", "price: '1e3' is not an amount such as 12.50"),
        ("1_000", "GBP", "price: '1_000' is not an amount such as 12.50"),
        ("١٢", "GBP", "price: '١٢' is not an amount such as 12.50"),
        ("NaN", "GBP", "price: 'NaN' is not an amount such as 12.50"),
        ("12.505", "GBP", "price: '12.505' is not an amount of GBP"),
        ("12.5", "JPY", "price: '12.5' is not an amount of JPY"),
        ("1000000.01", "GBP", "price: '1000000.01' is more than £1,000,000.00"),
        ("9" * 400, "GBP", f"price: '{'9' * 400}' is not an amount such as 12.50"),
    ],
)
def test_a_wrong_price_is_no_price(price, currency, reason):
    assert reasons(f"Mains,Steak,{price},,,,,", currency) == [reason]


def test_all_that_is_wrong_with_a_line_is_said():
    assert reasons(f" ,{'x' * 121},free,{'c' * 41},{'d' * 1001},,,Sauce: Mayo; A[2-1]: X | Y") == [
        "category: is blank",
        "name: is longer than 120 characters",
        "code: is longer than 40 characters",
        "description: is longer than 1000 characters",
        "price: 'free' is not an amount such as 12.50",
        "modifiers: 'Sauce' does not say how many to choose, such as [0-2], before the colon",
        "modifiers: 'A' cannot have 2 to 1 of 2 chosen",
    ]
    assert reasons("Ma\x00ins,St\x00eak,1,,,,,") == [
        "category: contains a null character",
        "name: contains a null character",
    ]


def test_lines_of_the_wrong_shape_cost_only_themselves():
    text = (
        "category,name,price\n"
        "Mains,Steak,1,extra\n"
        "Mains\n"
        "Category,Name,Price\n"
        'Mains,"Fi"sh,2\n'
        "Mains,Chips,3\n"
        'Mains,"Pie,4\n'
    )
    file = read(text)
    assert [item.name for item in file.items] == ["Chips"]
    assert file.bad_lines == [
        BadLine(2, ("it has 4 cells, the header has 3",)),
        BadLine(3, ("it has 1 cells, the header has 3",)),
        BadLine(4, ("the header again",)),
        BadLine(5, ("quotes: ',' expected after '\"'",)),
        BadLine(7, ("quotes: unexpected end of data",)),
    ]


def test_a_name_or_code_can_stand_once_among_good_lines():
    text = (
        "category,name,price,code\n"
        "Mains,Steak,bad,STK\n"
        "Mains,Steak,1,STK\n"
        "Mains,Steak,2,OTHER\n"
        "Mains,Fish,2,STK\n"
        "Mains,Chips,2,\n"
        "Mains,Peas,2,\n"
    )
    file = read(text)
    assert [item.line for item in file.items] == [3, 6, 7]
    assert [(bad.line, *bad.reasons) for bad in file.bad_lines[1:]] == [
        (4, "name: 'Steak' stands on line 3 already"),
        (5, "code: 'STK' stands on line 3 already"),
    ]


# Modifiers


def test_groups_are_written_as_people_write_them():
    found, names = groups("Doneness[1-1]: Rare | Well done; Extras [0 - 2] : Bacon +1.50|No bun -0.50; ")
    assert names == ("Doneness", "Extras")
    assert found == {
        "Doneness": GroupSpec("Doneness", 1, 1, (("Rare", 0), ("Well done", 0))),
        "Extras": GroupSpec("Extras", 0, 2, (("Bacon", 150), ("No bun", -50))),
    }


def test_a_backslash_takes_a_signs_meaning_away():
    found, _ = groups(r"A\:B\[x\][0-1]: Salt \| pepper | C\;D | E\\F | Vitamin \+5 | 50 + 50 mix | Coca-Cola")
    assert found == {
        "A:B[x]": GroupSpec(
            "A:B[x]",
            0,
            1,
            (
                ("Salt | pepper", 0),
                ("C;D", 0),
                ("E\\F", 0),
                ("Vitamin +5", 0),
                ("50 + 50 mix", 0),
                ("Coca-Cola", 0),
            ),
        )
    }


def test_a_group_may_be_named_again_without_its_description():
    text = (
        "category,name,price,modifiers\n"
        "Mains,Steak,1,Sauce[0-1]: Mayo | Ketchup\n"
        "Mains,Fish,1,Sauce\n"
        "Mains,Pie,1,Sauce[0-1]: Mayo|Ketchup\n"
        "Mains,Chips,1,Sauce[0-2]: Mayo | Ketchup\n"
        "Mains,Peas,1,Sauce; Sauce\n"
    )
    file = read(text)
    assert [(item.name, item.group_names) for item in file.items] == [
        ("Steak", ("Sauce",)),
        ("Fish", ("Sauce",)),
        ("Pie", ("Sauce",)),
    ]
    assert file.bad_lines == [
        BadLine(5, ("modifiers: 'Sauce' was described otherwise on line 2",)),
        BadLine(6, ("modifiers: 'Sauce' is there twice",)),
    ]


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("Sauce[0-1]:", "modifiers: '': is blank"),
        ("Sauce[0-1]: Mayo | | Ketchup", "modifiers: '': is blank"),
        ("[0-1]: Mayo", "modifiers: '': is blank"),
        ("Sauce[0-1]: Mayo | Mayo", "modifiers: 'Sauce' has a modifier twice"),
        ("Sauce[2-2]: Mayo", "modifiers: 'Sauce' cannot have 2 to 2 of 1 chosen"),
        ("Sauce[0-0]: Mayo", "modifiers: 'Sauce' cannot have 0 to 0 of 1 chosen"),
        ("Sauce[0-99999]: Mayo", "modifiers: 'Sauce' cannot have 0 to 99999 of 1 chosen"),
        (
            "Sauce[0]: Mayo",
            "modifiers: 'Sauce[0]' does not say how many to choose, such as [0-2], before the colon",
        ),
        ("Sauce[0-1]: Mayo +x", "modifiers: 'x' is not an amount such as 12.50"),
        ("Sauce[0-1]: Mayo +", "modifiers: '' is not an amount such as 12.50"),
        ("Sauce[0-1]: Mayo +1.505", "modifiers: '1.505' is not an amount of GBP"),
    ],
)
def test_wrong_modifiers_are_explained(cell, reason):
    assert reasons(f'Mains,Steak,1,,,,,"{cell}"') == [reason]
