"""Write the tables of `src/pixeltwin/capi/tables/` anew. For development only: nothing of this runs in the gateway.

    uv run --with babel==2.18.0 --with pycountry==26.2.16 python tests/tools/generate_tables.py

Sources: Unicode CLDR through babel (country names in many languages), ISO 3166-1 and 3166-2 through pycountry (codes,
English names, states and provinces), and the lists of aliases in this file, which are our own.

The browser's pixel knows countries and states by English names alone. Which names it knows, and which it finds first in
a longer text, was asked of Meta's parameter builder as a black box; `tests/capi/test_against_builder.py` asks it again.
"""

import importlib.metadata
import itertools
import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

import pycountry
from babel import Locale

from pixeltwin.capi.normalize.text import bare

TABLES: Final = Path(__file__).parents[2] / "src/pixeltwin/capi/tables"
SOURCES: Final = ("babel", "pycountry")

LANGUAGES: Final = [
    "en",
    "de",
    "fr",
    "es",
    "it",
    "pt",
    "nl",
    "da",
    "sv",
    "nb",
    "fi",
    "is",
    "et",
    "lv",
    "lt",
    "pl",
    "cs",
    "sk",
    "hu",
    "ro",
    "bg",
    "el",
    "hr",
    "sl",
    "sr",
    "mk",
    "sq",
    "uk",
    "ru",
    "be",
    "tr",
    "ar",
    "he",
    "fa",
    "hi",
    "bn",
    "th",
    "vi",
    "id",
    "ms",
    "ja",
    "ko",
    "zh",
    "zh_Hant",
    "ca",
    "eu",
    "gl",
    "cy",
    "ga",
    "mt",
    "ka",
    "hy",
    "az",
    "kk",
]

# -- countries, as the pixel knows them -------------------------------------------------------------------------------

# The pixel still uses names that ISO has given up, or leaves accents out where it drops whole letters.
PIXEL_COUNTRIES: Final = {
    "bo": "bolivia", "bn": "brunei", "cv": "capeverde", "cz": "czechrepublic", "ir": "iran", "fm": "micronesia",
    "md": "moldova", "mk": "macedonia", "nl": "netherlands", "ps": "palestine", "ru": "russia", "sy": "syria",
    "sz": "swaziland", "tr": "turkey", "tz": "tanzania", "va": "vatican", "ve": "venezuela", "tw": "taiwan",
    "vn": "vietnam", "la": "laos",
}  # fmt: skip
# More names; each is found where the country's own is. Longer names that count only as the whole text are here too.
PIXEL_COUNTRY_ALIASES: Final = {
    "cd": ["democraticrepublicofthecongo"], "ci": ["ivorycoast"], "in": ["ind"], "kp": ["northkorea"],
    "kr": ["southkorea"], "la": ["laopeoplesdemocraticrepublic"], "sz": ["eswatini"], "tl": ["easttimor"],
    "tw": ["taiwanprovinceofchina"], "us": ["usa"],
}  # fmt: skip
PIXEL_LACKS: Final = {"bq", "sx"}
ASKED_FIRST: Final = ("us", "in")

# -- states, as the pixel knows them ----------------------------------------------------------------------------------

PROVINCES: Final = [
    "on",
    "qc",
    "bc",
    "ab",
    "sk",
    "mb",
    "ns",
    "nb",
    "pe",
    "nl",
    "yt",
    "nt",
    "nu",
]  # the pixel asks them in this order, before the US

# -- our own names ----------------------------------------------------------------------------------------------------

COUNTRY_ALIASES: Final = {
    "ae": "uae, emirates, the emirates, vae, eau",
    "at": "a, republik österreich, oesterreich",
    "ba": "bosnia, bosnien, bosnie, bih",
    "be": "b, koninkrijk belgië, royaume de belgique",
    "bg": "bul",
    "br": "república federativa do brasil",
    "cd": "dr congo, drc, dr kongo, rd congo, congo kinshasa, democratic republic of the congo, zaire",
    "cg": "congo, congo brazzaville, republic of the congo",
    "ch": "sui, svizra, confoederatio helvetica, helvetia, schweizerische eidgenossenschaft, confédération suisse",
    "ci": "ivory coast, cote divoire",
    "cn": "中华人民共和国, 中華人民共和國, pr china, prc, people's republic of china, mainland china, vr china",
    "cv": "cape verde",
    "cz": "czech republic, czechia, česká republika, cesko, tschechei, tschechische republik, république tchèque",
    "de": "d, brd, ger, bundesrepublik deutschland, federal republic of germany",
    "dk": "den, kongeriget danmark",
    "es": "e, spa, reino de españa",
    "fi": "suomen tasavalta",
    "fr": "f, république française, france métropolitaine",
    "gb": """uk, u.k., great britain, britain, gt britain, england, scotland, wales, northern ireland, eng, sct, wal,
             großbritannien, grossbritannien, vereinigtes königreich, grande-bretagne, gran bretaña, gran bretagna,
             groot-brittannië, storbritannien, storbritannia, wielka brytania, velká británie, grã-bretanha,
             royaume uni, angleterre, inglaterra, inghilterra, engeland, schottland, écosse, escocia""",
    "gr": "el, gre, hellas, ellada, hellenic republic",
    "hk": "hong kong, hong kong sar, hk sar",
    "hr": "cro, republika hrvatska",
    "hu": "h, magyarország, hungarian republic",
    "ie": "eire, republic of ireland, irish republic, southern ireland",
    "ir": "persia",
    "it": "i, repubblica italiana",
    "kp": "north korea, dprk",
    "jp": "日本国, nippon, nihon",
    "kr": "korea, south korea, republic of korea, rok",
    "la": "laos",
    "lu": "l, grand-duché de luxembourg, luxemburg",
    "lv": "lat",
    "mk": "macedonia, fyrom, north macedonia",
    "mm": "burma, birma",
    "mo": "macau, macao",
    "mx": "estados unidos mexicanos, méjico",
    "nl": "holland, ned, the netherlands, hollande, holanda, olanda, koninkrijk der nederlanden, nederlanden",
    "no": "n, noreg, kongeriket norge",
    "nz": "aotearoa",
    "ph": "the philippines",
    "pl": "rzeczpospolita polska, republic of poland",
    "pt": "p, por, república portuguesa",
    "ru": "russia, russian federation, российская федерация",
    "sa": "ksa, kingdom of saudi arabia",
    "se": "s, konungariket sverige",
    "si": "slo, republika slovenija",
    "sk": "slovak republic, slovenská republika, slowakei",
    "sy": "syria",
    "sz": "swaziland",
    "tl": "east timor",
    "tr": "turkey, türkiye cumhuriyeti, republic of turkey",
    "tw": "republic of china, taiwan r.o.c., chinese taipei",
    "us": """united states of america, the united states, us of a, america, vsa, ee.uu., eeuu, e.u.a., eua,
             vereinigte staaten von amerika, estados unidos de américa, stati uniti d'america, états-unis d'amérique,
             verenigde staten van amerika, amerika""",
    "va": "vatican, holy see",
    "vn": "vietnam, viet nam",
    "za": "rsa",
}  # fmt: skip

# Countries whose states are written with letters, in capitals, in that country's addresses (ISO 3166-2 has them too).
LETTERED: Final = ("us", "ca", "au", "br", "ch", "cn", "de", "in", "it", "nl", "za")
ELSEWHERE: Final = "zz-"  # the name of a state, of no matter which country
STATE_ALIASES: Final = {
    "us": """al: ala; ak: alas; az: ariz; ar: ark; ca: calif, cali, kalifornien, californie, californië; co: colo;
             ct: conn; de: del; dc: washington dc, district of columbia; fl: fla, floride; hi: hawaï, hawaiʻi; il: ill;
             in: ind; ks: kan, kans; la: louisiane; ma: mass; mi: mich; mn: minn; ms: miss; mt: mont; ne: neb, nebr;
             nv: nev; nm: n. mex; ny: new york state, state of new york, nueva york; nc: n. carolina; nd: n. dakota;
             ok: okla; or: ore, oreg; pa: penn, penna; sc: s. carolina; sd: s. dakota; tn: tenn; tx: tex; vt: verm;
             va: virg; wa: wash, washington state; wv: w.va., w. virginia; wi: wis, wisc; wy: wyo""",
    "ca": """bc: colombie-britannique; mb: man; nb: nouveau-brunswick; ns: nouvelle-écosse;
             nl: newfoundland, labrador, terre-neuve, terre-neuve-et-labrador, newfoundland & labrador, nfld, nf;
             nt: nwt, territoires du nord-ouest; on: ont; pe: pei, île-du-prince-édouard; qc: pq, que, québec; sk: sask;
             yt: yukon territory, territoire du yukon""",
    "de": """by: bavaria, bavière, freistaat bayern, beieren; be: land berlin; bb: brandebourg; hb: freie hansestadt
             bremen, brême; hh: freie und hansestadt hamburg, hambourg; he: hesse; mv: mecklenburg-western pomerania;
             ni: lower saxony, basse-saxe; nw: nrw, north rhine-westphalia, rhénanie-du-nord-westphalie;
             rp: rhineland-palatinate, rhénanie-palatinat; sl: sarre; sn: saxony, freistaat sachsen, saxe;
             st: saxony-anhalt, saxe-anhalt; th: thuringia, freistaat thüringen, thuringe; bw: baden-wurtemberg""",
    "ch": """ag: argovia, argovie; be: berne, berna; fr: freiburg; ge: geneva, genf, ginevra; gl: glaris;
             gr: grisons, grigioni; lu: lucerne, lucerna; ne: neuenburg; sg: sankt gallen, saint-gall; so: soleure;
             sh: schaffhouse; tg: thurgovia, thurgovie; ti: tessin; vd: waadt; vs: wallis; zg: zoug; zh: zurigo;
             bs: basel, bâle-ville; bl: bâle-campagne""",
    "au": "vic: vict",
    "br": "df: brasília; sp: s. paulo",
    "in": "cg: chattisgarh; od: orissa; uk: uttaranchal; dl: new delhi, nct of delhi; py: pondicherry",
    "nl": "fr: friesland; nb: north brabant; nh: north holland; zh: south holland",
    "it": "mi: milan; rm: rome; to: turin; na: naples; fi: florence; ve: venice; ge: genoa; bz: bozen, südtirol",
}  # fmt: skip


def main() -> None:
    for name, text in tables().items():
        (TABLES / name).write_text(text, encoding="utf-8")
        print(f"{name}: {text.count(chr(10))} lines, {len(text.encode()):,} bytes")


def tables() -> dict[str, str]:
    """Every table's text by the name of its file."""
    return {
        "pixel_countries.tsv": written(pixel_countries(), "code, English name: in the order the pixel asks"),
        "pixel_states.tsv": written(pixel_states(), "code, English name: in the order the pixel asks"),
        "countries.tsv": written(countries(), "code, name: spaces, punctuation and capitals left out"),
        "states.tsv": written(
            states(), "country, code, name: spaces, punctuation and capitals left out; zz: elsewhere"
        ),
    }


def versions() -> str:
    return ", ".join(f"{source} {importlib.metadata.version(source)}" for source in SOURCES)


def written(rows: Iterable[tuple[str, ...]], columns: str) -> str:
    head = f"# {columns}\n# written by tests/tools/generate_tables.py from {versions()} and its own list of aliases\n"
    return head + "".join("\t".join(row) + "\n" for row in rows)


def pixel_countries() -> Iterator[tuple[str, str]]:
    """The English names the pixel knows: two big markets first, then by ISO's old English name."""
    known = {country.alpha_2.lower(): country for country in pycountry.countries}
    names = {code: PIXEL_COUNTRIES.get(code) or ascii_letters(country.name) for code, country in known.items()}
    listed = [code for code in names if code not in PIXEL_LACKS]
    for code in sorted(listed, key=lambda code: (not in_front(code), sorting_name(code, names[code]))):
        yield from ((code, name) for name in dict.fromkeys((names[code], *PIXEL_COUNTRY_ALIASES.get(code, ()))))


def in_front(code: str) -> bool:
    return code in ASKED_FIRST


def sorting_name(code: str, name: str) -> str:
    """Where ISO's list has (or had) the country; the US come before India."""
    moved = {"us": "0", "in": "1", "va": "holysee", "kp": "korea0", "kr": "korea1", "la": "lao", "tw": "taiwan"}
    return moved.get(code, name)


def pixel_states() -> Iterator[tuple[str, str]]:
    """The provinces of Canada, then the states of the US without territories."""
    canada = {code_of(state): ascii_letters(state.name) for state in pycountry.subdivisions.get(country_code="CA")}
    yield from ((code, canada[code]) for code in PROVINCES)
    states = [state for state in pycountry.subdivisions.get(country_code="US") if state.type == "State"]
    yield from sorted(((code_of(state), ascii_letters(state.name)) for state in states), key=lambda row: row[1])


def countries() -> list[tuple[str, str]]:
    """Our own: CLDR's names in many languages, ISO's names and three-letter codes, aliases; no name for two of them."""
    found: dict[str, set[str]] = {}
    for rank in (aliases_of_countries(), iso_names(), cldr_names()):
        for name, codes in gathered(rank).items():
            found.setdefault(name, codes)  # an earlier source is right where two differ
    return sorted((min(codes), name) for name, codes in found.items() if len(codes) == 1)


def aliases_of_countries() -> Iterator[tuple[str, str]]:
    yield from ((code, alias) for code, aliases in COUNTRY_ALIASES.items() for alias in listed(aliases))


def iso_names() -> Iterator[tuple[str, str]]:
    for country in pycountry.countries:
        texts = (
            country.alpha_3,
            country.name,
            *(getattr(country, key, "") for key in ("official_name", "common_name")),
        )
        yield from ((country.alpha_2.lower(), text) for text in texts if text)
        yield country.alpha_2.lower(), Locale("en").territories.get(country.alpha_2, country.name)


def cldr_names() -> Iterator[tuple[str, str]]:
    real = {country.alpha_2 for country in pycountry.countries} | {"XK"}
    for language in LANGUAGES:
        names = Locale.parse(language).territories
        yield from ((code.lower(), name) for code, name in names.items() if code in real)


def states() -> list[tuple[str, ...]]:
    """States by name, with their code where addresses carry letters. North America's win; no code stands for two."""
    found: dict[str, set[str]] = {}
    for countries_of_rank in (LETTERED[:2], LETTERED[2:]):
        for name, places in gathered(itertools.chain.from_iterable(map(state_names, countries_of_rank))).items():
            found.setdefault(name, places if len(places) == 1 else {ELSEWHERE})
    for name in gathered((ELSEWHERE, state.name) for state in pycountry.subdivisions):
        found.setdefault(name, {ELSEWHERE})
    rows = [(*min(places).split("-"), name) for name, places in found.items()]
    return sorted((country, code, name) for country, code, name in rows if name != code)


def state_names(country: str) -> Iterator[tuple[str, str]]:
    for state in pycountry.subdivisions.get(country_code=country.upper()):
        if code_of(state).isalpha():
            yield from ((f"{country}-{code_of(state)}", name) for name in re.split(r"\s*[/\[\]]\s*", state.name))
    for entry in filter(None, STATE_ALIASES.get(country, "").split(";")):
        code, _, aliases = entry.partition(":")
        yield from ((f"{country}-{code.strip()}", alias) for alias in listed(aliases))


def gathered(pairs: Iterable[tuple[str, str]]) -> Mapping[str, set[str]]:
    """The codes by name, each name also without its accents."""
    found: dict[str, set[str]] = {}
    for code, name in pairs:
        for text in spellings(name):
            found.setdefault(text, set()).add(code)
    return found


def spellings(name: str) -> set[str]:
    plain = bare(name)
    german = plain.translate({ord("ä"): "ae", ord("ö"): "oe", ord("ü"): "ue", ord("ß"): "ss"})
    return {text for text in (plain, without_accents(plain), german) if text}


def without_accents(text: str) -> str:
    """Latin letters without their accents; other scripts as they are, where marks are no ornament."""
    parts = (unicodedata.normalize("NFD", char) for char in text)
    return "".join(part[0] if part[0].isascii() else unicodedata.normalize("NFC", part) for part in parts)


def ascii_letters(text: str) -> str:
    return re.sub(r"[^a-z]", "", without_accents(text.lower()))


def code_of(state: object) -> str:
    return str(state.code).partition("-")[2].lower()  # type: ignore[attr-defined]


def listed(aliases: str) -> list[str]:
    return [alias.strip() for alias in re.split(r",\s*", " ".join(aliases.split())) if alias.strip()]


if __name__ == "__main__":
    sys.exit(main())
