"""The lock that is given to those who wait in the order in which they came."""

from __future__ import annotations

import threading

from pachlet.metadb.turns import Turns


def test_whoever_comes_back_at_once_waits_for_those_who_waited() -> None:
    turns, order, threads = Turns(), list[int](), list[threading.Thread]()

    def work(number: int) -> None:
        with turns:
            order.append(number)

    with turns:
        for number in range(5):
            threads.append(threading.Thread(target=work, args=(number,)))
            threads[-1].start()
            while turns.waiting == number:
                pass
    with turns:
        assert order == [0, 1, 2, 3, 4]
    for each in threads:
        each.join()


def test_one_at_a_time_has_it() -> None:
    turns, inside, most = Turns(), 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(200):
            with turns:
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert (inside, most, turns.waiting) == (0, 1, 0)
