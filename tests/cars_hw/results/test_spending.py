"""What a search cost, by both counts."""

from cars_hw.ledger import Ledger
from cars_hw.results.spending import expenses, table


def ledger() -> Ledger:
    entries = Ledger()
    for _ in range(10):
        entries.add_step(32, 0.5)
    for _ in range(20):
        entries.add_evaluation(100, 2.0, weights="current")
    return entries


def test_every_evaluation_is_counted_and_one_a_generation_as_published() -> None:
    training, every, ours, one, published = expenses(ledger().to_json(), 4)
    assert (training.count, training.images, training.seconds) == (10, 320, 5.0)
    assert (every.count, every.images, every.seconds) == (20, 2000, 40.0)
    assert (ours.images, ours.seconds) == (2320, 45.0)
    assert (one.count, one.images, one.seconds) == (4, 400, 8.0)
    assert (published.images, published.seconds) == (720, 13.0)


def test_a_search_that_evaluated_nothing_has_spent_nothing_on_it() -> None:
    *_, one, published = expenses(Ledger().to_json(), 0)
    assert (one.count, one.seconds, published.seconds) == (0, 0, 0)


def test_one_evaluation_a_generation_is_never_more_than_every_one() -> None:
    every, one = (expenses(ledger().to_json(), 50)[i] for i in (1, 3))
    assert one.seconds == every.seconds


def test_a_ledger_with_missing_or_odd_figures_is_shown_with_zeros() -> None:
    [training, *_] = expenses({"steps": 7, "training_s": "long"}, 1)
    assert (training.count, training.seconds) == (7, 0)


def test_the_table_names_both_counts() -> None:
    columns, rows = table(ledger().to_json(), 4)
    assert columns == ["spent on", "count", "images", "seconds"]
    assert rows[1] == ["evaluations, every one", "20", "2000", "40.0"]
    assert rows[3] == ["evaluations, one a generation", "4", "400", "8.0"]
    assert [row[0] for row in rows][2::2] == ["in all", "in all, as published"]
