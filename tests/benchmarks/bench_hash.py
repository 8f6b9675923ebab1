"""What normalising, hashing and sealing one event with 8 identity fields costs, beside Meta's own packages.

    python tests/benchmarks/bench_hash.py

The same made-up people of 16 countries for all sides, from plain text to the JSON that is posted. Each has a process of
its own; rounds alternate, and ratios of one run are what to compare. pixeltwin does more for it: phones get their
country code, and postcodes, cities and states a second value where Meta documents another form than the pixel's.
A peer that cannot be installed here is left out, with a line that says so.
"""

import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parents[2]))
import orjson
from tests import builder
from tests.people import people

from pixeltwin.capi.event import ServerEvent
from pixeltwin.capi.normalize import hashes

FIELDS: Final = ("em", "ph", "fn", "ln", "ct", "st", "zp", "country")
ROUNDS: Final = 7
EVENTS: Final = 6000  # a round; 7 rounds of 4 sides stay below half a minute
PEER: Final = "facebook-business"
EVENT: Final = {"event_name": "Purchase", "event_time": 1795000000, "event_id": "e1", "action_source": "website"}
URL: Final = "https://shop.example/thanks"

FACEBOOK: Final = """
import json, sys, time
from facebook_business.adobjects.serverside.action_source import ActionSource
from facebook_business.adobjects.serverside.event import Event
from facebook_business.adobjects.serverside.user_data import UserData

NAMES = {"em": "email", "ph": "phone", "fn": "first_name", "ln": "last_name", "ct": "city", "st": "state",
         "zp": "zip_code", "country": "country_code"}
asked = json.load(sys.stdin)
people = [{NAMES[key]: value for key, value in person.items()} for person in asked["people"]]

def seal(person):
    event = Event(event_name="Purchase", event_time=1795000000, event_id="e1", action_source=ActionSource.WEBSITE,
                  event_source_url="https://shop.example/thanks", user_data=UserData(**person))
    return json.dumps(event.normalize())

for person in people:
    seal(person)
began = time.process_time()
for number in range(asked["events"]):
    seal(people[number % len(people)])
print((time.process_time() - began) / asked["events"] * 1e6)
"""

BUILDER: Final = """
const {ParamBuilder} = require('capi-param-builder-nodejs');
const {people, events, kinds} = JSON.parse(require('fs').readFileSync(0, 'utf8'));
const builder = new ParamBuilder();
function seal(person) {
  const user_data = {};
  for (const key in person) {
    const hash = builder.getNormalizedAndHashedPII(person[key], kinds[key]);
    if (hash) user_data[key] = [hash];
  }
  return JSON.stringify({event_name: 'Purchase', event_time: 1795000000, event_id: 'e1', action_source: 'website',
                         event_source_url: 'https://shop.example/thanks', user_data});
}
for (let round = 0; round < 20; round++) people.forEach(seal);
const began = process.cpuUsage();
for (let number = 0; number < events; number++) seal(people[number % people.length]);
const used = process.cpuUsage(began);
console.log((used.user + used.system) / events);
"""

OURS: Final = "--ours"
COMPLETE: Final = "--complete"

type Person = dict[str, str]


@dataclass
class Side:
    """One way to seal an event: `measure` answers the µs of CPU that an event took in one round."""

    name: str
    measure: Callable[[], float]
    rounds: list[float] = field(default_factory=list)

    @property
    def cost(self) -> float:
        return statistics.median(self.rounds)


def asked() -> dict[str, Any]:
    """People whom all sides accept: Meta's Python SDK raises for names of countries and phones with dots or /."""
    fields = [{**{key: one.fields[key] for key in FIELDS}, "country": one.country} for one in people(each=12)]
    accepted = [person for person in fields if not {".", "/"} & set(person["ph"])]
    return {"people": accepted, "events": EVENTS, "kinds": builder.KINDS}


def seal(person: Person, default_country: str | None) -> bytes:
    user_data = {key: found for key, value in person.items() if (found := hashes(key, value, default_country))}
    event = ServerEvent.model_validate({**EVENT, "event_source_url": URL, "user_data": user_data})
    return orjson.dumps(event.as_json())


def ours(complete_phones: bool) -> None:
    everyone = asked()["people"]
    countries = [person["country"] if complete_phones else None for person in everyone]
    for person, country in zip(everyone, countries, strict=True):
        seal(person, country)
    began = time.process_time()
    for number in range(EVENTS):
        at = number % len(everyone)
        seal(everyone[at], countries[at])
    print((time.process_time() - began) / EVENTS * 1e6)


def measured(command: list[str], stdin: str = "", folder: Path | None = None) -> float:
    return float(subprocess.run(command, input=stdin, cwd=folder, capture_output=True, text=True, check=True).stdout)


def python_with_peer(folder: Path) -> str | None:
    """A Python that has Meta's SDK: this one, or one of a new environment."""
    if importlib.util.find_spec("facebook_business"):
        return sys.executable
    python = folder / "venv/bin/python"
    steps = [[sys.executable, "-m", "venv", str(folder / "venv")], [str(python), "-m", "pip", "install", "-q", PEER]]
    done = (subprocess.run(step, capture_output=True, check=False).returncode == 0 for step in steps)
    return str(python) if all(done) else None


def sides(folder: Path) -> list[Side]:
    """Ours first, then the peers that can be had."""
    people_json = json.dumps(asked())
    here = [sys.executable, __file__, OURS]
    found = [
        Side("pixeltwin, with default_country", lambda: measured([*here, COMPLETE])),
        Side("pixeltwin, without", lambda: measured(here)),
    ]
    if python := python_with_peer(folder):
        found.append(Side(f"{PEER} (PyPI)", lambda: measured([python, "-c", FACEBOOK], people_json)))
    else:
        print(f"left out: {PEER} cannot be installed here")
    try:
        package = builder.install(folder / "npm").folder
        found.append(Side(f"{builder.PACKAGE} (npm)", lambda: measured(["node", "-e", BUILDER], people_json, package)))
    except builder.NotToBeHadError as reason:
        print(f"left out: {reason}")
    return found


def compare(contenders: list[Side]) -> None:
    for _ in range(ROUNDS):
        for side in contenders:
            side.rounds.append(side.measure())
    print(f"\n{'µs of CPU an event':<36}{'median':>8}{'lowest':>8}{'highest':>9}{'pixeltwin / this':>19}")
    full = contenders[0].cost
    for side in contenders:
        low, high = min(side.rounds), max(side.rounds)
        print(f"{side.name:<36}{side.cost:>8.1f}{low:>8.1f}{high:>9.1f}{full / side.cost:>19.2f}")


def main() -> None:
    if OURS in sys.argv:
        return ours(complete_phones=COMPLETE in sys.argv)
    print(f"{os.cpu_count()} CPUs, {ROUNDS} rounds of {EVENTS} events in turn, 8 identity fields each")
    with tempfile.TemporaryDirectory() as folder:
        return compare(sides(Path(folder)))


if __name__ == "__main__":
    main()
