"""Fetch and replay: the prices of the days before the tick, the same bytes for the same day, trouble or not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import httpx
import pytest

from pachlet.step import BadInput
from steps.crypto import fetch, replay
from steps.crypto.prices import parse_prices
from steps.crypto.ticks import today
from tests.local_exchange import CUT, Exchange, candle, exchange

END = date(2024, 3, 1)


@pytest.fixture
def market(monkeypatch: pytest.MonkeyPatch) -> Iterator[Exchange]:
    with exchange() as serving:
        monkeypatch.setenv("PRICES_URL", serving.url)
        yield serving


def tick(inputs: Path, *times: str) -> None:
    (inputs / "tick").mkdir(parents=True, exist_ok=True)
    for path in (inputs / "tick").iterdir():
        path.unlink()
    for time in times:
        (inputs / "tick" / time).touch()


def coin(inputs: Path, name: str, product: str, since: str = "2023-01-01") -> None:
    (inputs / "coins").mkdir(parents=True, exist_ok=True)
    content = {"schema": fetch.COIN, "product": product, "since": since}
    (inputs / "coins" / f"{name}.json").write_text(json.dumps(content))


def ask(market: Exchange, since: date = date(2024, 2, 1)) -> tuple[list[date], list[float]]:
    """Return the days that were got, and the seconds that were slept meanwhile."""
    slept: list[float] = []
    with httpx.Client(base_url=market.url) as client:
        rows = fetch.candles(client, "BTC-USD", since, END, sleep=slept.append)
    return [day for day, _ in rows], slept


def test_a_coin_becomes_a_price_file_that_ingest_reads(market: Exchange, tmp_path: Path) -> None:
    market.first["BTC-USD"] = date(2023, 5, 10)
    coin(tmp_path, "Bitcoin", "BTC-USD")
    tick(tmp_path, "2024-03-01T00:10:00Z")
    fetch.run(tmp_path, tmp_path / "out")
    [path] = (tmp_path / "out" / "raw").iterdir()
    found = parse_prices(path.read_text())
    assert (path.name, found.quarantined, found.newest_first) == ("Bitcoin.csv", [], True)
    assert (found.rows[0].day, found.rows[-1].day) == (date(2023, 5, 10), date(2024, 2, 29))
    assert (len(found.rows), found.missing_days) == (296, 0)
    _, low, high, opened, close, volume = candle("BTC-USD", date(2024, 2, 29))
    last = found.rows[-1]
    assert (last.low, last.high, last.open, last.close) == (low, high, opened, close)
    assert (last.volume, last.market_cap) == (round(volume * close), None)


def test_history_is_asked_for_in_spans_that_one_answer_holds(market: Exchange) -> None:
    market.first["BTC-USD"] = date(2020, 1, 1)
    days, _ = ask(market, since=date(2022, 6, 1))
    assert (len(days), days[0], days[-1]) == (639, date(2024, 2, 29), date(2022, 6, 1))
    assert [span[1:] for span in market.asked] == [
        ("2022-06-01", "2023-03-27"),
        ("2023-03-28", "2024-01-21"),
        ("2024-01-22", "2024-02-29"),
    ]


def test_two_ticks_of_one_day_give_the_same_bytes(market: Exchange, tmp_path: Path) -> None:
    market.first["BTC-USD"] = date(2024, 1, 1)
    coin(tmp_path, "Bitcoin", "BTC-USD")
    made = []
    for number, time in enumerate(("2024-03-01T00:10:00Z", "2024-03-01T23:59:59Z", "2024-03-02T00:10:00Z")):
        tick(tmp_path, time)
        fetch.run(tmp_path, tmp_path / str(number))
        made.append((tmp_path / str(number) / "raw" / "Bitcoin.csv").read_bytes())
    assert made[0] == made[1]
    assert made[2].splitlines()[2:] == made[0].splitlines()[1:]


def test_trouble_on_the_way_is_tried_again_later_and_later(market: Exchange) -> None:
    market.first["BTC-USD"] = date(2024, 2, 1)
    market.trouble = [429, 0, 503, 500]
    days, slept = ask(market)
    assert (len(days), slept) == (29, [1, 2, 4, 8])


def test_an_answer_that_is_cut_off_is_asked_for_again(market: Exchange) -> None:
    market.first["BTC-USD"] = date(2024, 2, 1)
    whole, _ = ask(market)
    market.trouble = [CUT, b"[[1709164800, 1, 2", b"<html>a proxy's page</html>"]
    assert ask(market) == (whole, [1, 2, 4])
    market.trouble = [b"<html>"] * 6
    with pytest.raises(BadInput, match="in 6 tries: its answer is not JSON"):
        ask(market)


@pytest.mark.parametrize(
    "said, seconds", [("7", 7), ("0", 1), ("86400", 60), ("Wed, 21 Oct 2026 07:28:00 GMT", 1)]
)
def test_a_rate_limit_says_how_long_to_wait(market: Exchange, said: str, seconds: float) -> None:
    market.first["BTC-USD"] = date(2024, 2, 1)
    market.trouble, market.retry_after = [429, 503], said
    days, slept = ask(market)
    assert (len(days), slept) == (29, [seconds, max(seconds, 2)])


def test_without_a_network_the_datum_fails_and_says_why(market: Exchange) -> None:
    url, slept = "http://127.0.0.1:9", list[float]()
    with (
        httpx.Client(base_url=url) as client,
        pytest.raises(BadInput, match="gave no prices of BTC-USD") as told,
    ):
        fetch.candles(client, "BTC-USD", date(2024, 2, 1), END, sleep=slept.append)
    assert "ConnectError" in str(told.value)
    assert slept == [1, 2, 4, 8, 16]


def test_a_request_is_as_the_exchange_documents_it() -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json=[[1709164800, 61000.5, 63700, 62500.1, 61200, 12345.678]])

    with httpx.Client(base_url=fetch.URL, transport=httpx.MockTransport(answer)) as client:
        rows = fetch.candles(client, "BTC-USD", date(2024, 2, 1), END)
    assert str(asked[0].url) == (
        "https://api.exchange.coinbase.com/products/BTC-USD/candles"
        "?granularity=86400&start=2024-02-01T00%3A00%3A00Z&end=2024-02-29T00%3A00%3A00Z"
    )
    assert rows == [(date(2024, 2, 29), [61000.5, 63700.0, 62500.1, 61200.0, 12345.678])]


def test_trouble_without_end_fails_the_datum(market: Exchange) -> None:
    market.trouble = [503] * 6
    with pytest.raises(BadInput, match="gave no prices of BTC-USD in 6 tries: it answered 503"):
        ask(market)


@pytest.mark.parametrize(
    "trouble, said",
    [
        (400, "answered 400 to BTC-USD"),
        (b"null", "are not rows of numbers"),
        (b"[[1709164800, 1, 2, 1, null, 3]]", "are not rows of numbers"),
        (b"[[1709164800, 1, 2, 1, NaN, 3]]", "are not rows of six numbers"),
        (b"[[1, 2]]", "are not rows of six numbers"),
        (b'{"message": "x"}', "are not rows of numbers"),
    ],
)
def test_an_answer_that_is_off_fails_at_once(market: Exchange, trouble: int | bytes, said: str) -> None:
    market.trouble = [trouble]
    with pytest.raises(BadInput, match=said):
        ask(market)


def test_a_product_that_is_not_there_is_said_and_fails_nobody(
    market: Exchange, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    market.first["BTC-USD"] = date(2024, 1, 1)
    coin(tmp_path, "Bitcoin", "BTC-USD")
    coin(tmp_path, "Nocoin", "NO-USD")
    tick(tmp_path, "2024-03-01T00:10:00Z")
    fetch.run(tmp_path, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out" / "raw").iterdir()] == ["Bitcoin.csv"]
    assert "has no product NO-USD, so there is no file of Nocoin" in capsys.readouterr().out


def test_a_coin_file_that_is_off_is_named(market: Exchange, tmp_path: Path) -> None:
    coin(tmp_path, "Bitcoin", "BTC-USD", since="once")
    tick(tmp_path, "2024-03-01T00:10:00Z")
    with pytest.raises(BadInput, match=r"Bitcoin\.json needs a product and a day since when"):
        fetch.run(tmp_path, tmp_path / "out")


def test_the_newest_tick_counts_in_utc(tmp_path: Path) -> None:
    tick(tmp_path, "2024-02-28T00:10:00Z", "2024-02-29T23:10:00-05:00")
    assert today(tmp_path / "tick") == END
    tick(tmp_path, "soon")
    with pytest.raises(BadInput, match="'soon' is no time of a tick"):
        today(tmp_path / "tick")
    tick(tmp_path)
    with pytest.raises(BadInput, match="no tick"):
        today(tmp_path / "tick")


def test_replay_brings_what_was_over_oddities_and_all(tmp_path: Path) -> None:
    header = "Date,Open,High,Low,Close,Volume,Market Cap"
    odd = 'Someday,1,2,1,1,"1,000",-'
    lines = [f'"Sep {day}, 2017",1,2,1,{day},"1,000",-' for day in (22, 21, 20)]
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "Acoin.csv").write_bytes("\r\n".join([header, *lines, odd]).encode())
    (tmp_path / "archive" / "Late.csv").write_bytes(f"{header}\n{lines[0]}\n".encode())
    (tmp_path / "archive" / "SYNTHETIC.txt").write_text("made up")
    tick(tmp_path, "2017-09-22T00:10:00Z")
    replay.run(tmp_path, tmp_path / "out")
    made = {path.name: path.read_bytes() for path in (tmp_path / "out" / "raw").iterdir()}
    assert made == {
        "Acoin.csv": "\r\n".join([header, *lines[1:], odd]).encode(),
        "SYNTHETIC.txt": b"made up",
    }
