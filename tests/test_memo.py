"""A memo: each text is asked about once, and nobody fills the memory."""

from pixeltwin.memo import LONGEST, MOST, Memo


def test_of_a_text_that_comes_again_nothing_is_made_again() -> None:
    made: list[str] = []
    memo = Memo[str, int](lambda text: made.append(text) or len(text))
    assert (memo["name"], memo["name"], made) == (4, 4, ["name"])


def test_long_texts_are_not_kept() -> None:
    memo = Memo[bytes, int](len)
    assert (memo[b"x" * (LONGEST + 1)], len(memo)) == (LONGEST + 1, 0)


def test_it_never_holds_more_than_so_many() -> None:
    memo = Memo[str, str](str.upper)
    assert [memo[f"n{number}"] for number in range(3 * MOST)] == [f"N{number}" for number in range(3 * MOST)]
    assert 0 < len(memo) <= MOST


def test_how_much_it_keeps_may_be_said() -> None:
    memo = Memo[tuple[str, ...], int](len, size=lambda names: sum(map(len, names)), longest=3, most=2)
    assert [memo[names] for names in (("ab", "c"), ("abcd",), ("a",), ("b",))] == [2, 1, 1, 1]
    assert [*memo] == [("b",)]
