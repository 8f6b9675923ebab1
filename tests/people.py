"""Made-up people of many countries, with their data as customers type it. The same seed makes the same people."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

DOMAINS: Final = ("example.com", "mail.example.org", "post.example.net", "shop-mail.example", "example.co.uk")
DATES: Final = (
    "{y}-{m:02}-{d:02}",
    "{d:02}.{m:02}.{y}",
    "{m:02}/{d:02}/{y}",
    "{d}/{m}/{y}",
    "{y}{m:02}{d:02}",
    "{y}/{m}/{d}",
)


@dataclass(frozen=True)
class Locale:
    """What people of a country are called, and where they live; `#` in a pattern stands for a digit."""

    country: str
    country_names: tuple[str, ...]
    first: tuple[str, ...]
    last: tuple[str, ...]
    cities: tuple[str, ...]
    states: tuple[str, ...]
    postcodes: tuple[str, ...]
    phones: tuple[str, ...]


def words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(","))


LOCALES: Final = (
    Locale(
        "US",
        words("US, USA, United States, United States of America, U.S.A."),
        words("Mary, James, LaToya, Mary-Jane, DeShawn, J.R., Aaron"),
        words("O'Brien, Smith-Jones, McDonald, St. John, Garcia Jr., Nguyen"),
        words("San Francisco, St. Louis, Winston-Salem, New York, Coeur d'Alene"),
        words("CA, California, New York, Texas, West Virginia, D.C., Calif."),
        ("94###", "10###-####", "#####"),
        ("(650) 555-####", "+1 650-555-####", "1 (212) 555 ####", "415.555.####"),
    ),
    Locale(
        "GB",
        words("GB, UK, United Kingdom, Great Britain, England"),
        words("Siân, Niamh, George, Zoë, Alastair"),
        words("O’Neill, Featherstonehaugh, Lloyd-George, ap Rhys"),
        words("London, Stratford-upon-Avon, King's Lynn, Caerdydd"),
        words("Greater London, Kent, Scotland, Gwynedd"),
        ("SW#A #AA", "M# #AE", "EC#A#BB"),
        ("020 7946 0###", "+44 (0)20 7946 0###", "07700 900###", "0044 7700 900###"),
    ),
    Locale(
        "DE",
        words("DE, Deutschland, Germany, D, Bundesrepublik Deutschland"),
        words("Jürgen, Zoë, Karl-Heinz, Änne, Günther, Björn"),
        words("Müller, Groß, von der Leyen, Weiß-Schröder, Özdemir"),
        words("München, Frankfurt (Main), Köln, Garmisch-Partenkirchen, Neuß"),
        words("Bayern, Nordrhein-Westfalen, Baden-Württemberg, NRW"),
        ("#####", "D-#####"),
        ("0170 123####", "+49 170 123####", "0049 (0)30 123###", "030/123###"),
    ),
    Locale(
        "FR",
        words("FR, France, République française"),
        words("François, Hélène, Jean-Baptiste, Chloé, Loïc, Maëlle"),
        words("L'Hôpital, Lefèvre, d'Ormesson, Dupont, Le Goff"),
        words("Saint-Étienne, L'Haÿ-les-Roses, Paris, Orléans"),
        words("Île-de-France, Bretagne, Provence-Alpes-Côte d'Azur"),
        ("#####", "F-#####"),
        ("06 12 34 ## ##", "+33 1 23 45 ## ##", "01.23.45.##.##"),
    ),
    Locale(
        "BR",
        words("BR, Brasil, Brazil"),
        words("João, Conceição, José, Antônio, Luíza"),
        words("da Silva, Gonçalves, D'Ávila, Araújo"),
        words("São Paulo, Brasília, Goiânia, Rio de Janeiro"),
        words("SP, São Paulo, Rio Grande do Sul, Pará"),
        ("#####-###", "########"),
        ("(11) 91234-####", "+55 11 91234 ####", "021 3234-####"),
    ),
    Locale(
        "PL",
        words("PL, Polska, Poland"),
        words("Łukasz, Małgorzata, Żaneta, Jędrzej"),
        words("Wójcik, Kowalska-Nowak, Błażejewski, Święch"),
        words("Łódź, Kraków, Świnoujście, Bielsko-Biała"),
        words("małopolskie, Śląsk, Mazowieckie"),
        ("##-###",),
        ("512 345 ###", "+48 512 345 ###", "22 123 4# ##"),
    ),
    Locale(
        "TR",
        words("TR, Türkiye, Turkey, Türkiye Cumhuriyeti"),
        words("İbrahim, Ayşe, IŞIL, Gökçe, Çağla"),
        words("Yıldız, Öztürk, Şahin, İNCE"),
        words("İstanbul, Diyarbakır, Şanlıurfa, IĞDIR"),
        words("İzmir, Ankara, Muğla"),
        ("34###",),
        ("0532 123 ## ##", "+90 532 123 ## ##"),
    ),
    Locale(
        "GR",
        words("GR, Ελλάδα, Greece, Hellas"),
        words("ΝΙΚΟΣ, Ελένη, Γιώργος, ΆΝΝΑ ΜΑΡΊΑ"),
        words("ΠΑΠΑΔΌΠΟΥΛΟΣ, Αντωνίου, Χατζής"),
        words("Αθήνα, Θεσσαλονίκη, ΠΆΤΡΑΣ"),
        words("Αττική, Κρήτη"),
        ("### ##",),
        ("21 0123 4###", "+30 694 123 4###"),
    ),
    Locale(
        "RU",
        words("RU, Россия, Russia, Russian Federation, Российская Федерация"),
        words("Владимир, Анна-Мария, Фёдор, Щукарь"),
        words("Петров, Соловьёва, Римский-Корсаков"),
        words("Москва, Санкт-Петербург, Йошкар-Ола"),
        words("Московская область, Республика Саха (Якутия)"),
        ("######",),
        ("8 (912) 345-##-##", "+7 912 345-##-##"),
    ),
    Locale(
        "JP",
        words("JP, 日本, Japan"),
        words("太郎, 花子, さくら, ケンジ"),
        words("佐藤, 鈴木, ヴァン・ダイン, 高橋"),
        words("東京, 大阪市, さいたま市, Ōtsu"),
        words("東京都, 北海道, Ōsaka-fu"),
        ("###-####", "〒###-####"),
        ("090-1234-####", "+81 90-1234-####", "03-1234-####"),
    ),
    Locale(
        "CN",
        words("CN, 中国, China, 中華人民共和國"),
        words("李明, 小红, 伟, Xiǎo-Míng"),
        words("王, 欧阳, 张, Lü"),
        words("北京, 上海市, Ürümqi, 西安"),
        words("北京市, 广东省, Guangdong"),
        ("######",),
        ("138 1234 ####", "+86 138 1234 ####"),
    ),
    Locale(
        "KR",
        words("KR, 대한민국, South Korea, Korea, Republic of Korea"),
        words("정, 민준, 서연, Ji-woo"),
        words("김, 박, 남궁, Lee"),
        words("서울, 부산광역시, Incheon"),
        words("경기도, 서울특별시"),
        ("#####", "###-###"),
        ("010-1234-####", "+82 10 1234 ####"),
    ),
    Locale(
        "IN",
        words("IN, India, भारत"),
        words("आरव, Priya, श्रीमती लक्ष्मी, Md. Irfan"),
        words("शर्मा, Iyer, D'Souza, खान"),
        words("मुंबई, New Delhi, Thiruvananthapuram, Bengaluru"),
        words("महाराष्ट्र, Karnataka, Tamil Nadu"),
        ("### ###", "######"),
        ("098765 4####", "+91 98765-4####"),
    ),
    Locale(
        "EG",
        words("EG, مصر, Egypt"),
        words("محمد, فاطمة الزهراء, عليّ, Aḥmad"),
        words("عبد الله, حسن, El-Sayed"),
        words("القاهرة, الإسكندرية, Giza"),
        words("الجيزة, Cairo Governorate"),
        ("#####",),
        ("010 0123 ####", "+20 100 123 ####"),
    ),
    Locale(
        "VN",
        words("VN, Việt Nam, Vietnam"),
        words("Nguyệt, Đức, Thị Hồng, Quân"),
        words("Nguyễn, Trần, Lê-Đặng, Phạm"),
        words("Hà Nội, Thành phố Hồ Chí Minh, Đà Nẵng"),
        words("Khánh Hòa, Lâm Đồng"),
        ("######",),
        ("091 234 56 ##", "+84 91 234 56 ##"),
    ),
    Locale(
        "AT",
        words("AT, Österreich, Austria, A, Republik Österreich"),
        words("Jörg, Käthe, Xaver"),
        words("Strauß, Mühl-Huber, Öttl"),
        words("Wien, Sankt Pölten, Wörgl"),
        words("Niederösterreich, Tirol, Kärnten"),
        ("####", "A-####"),
        ("0664 123####", "+43 (0)664 123####"),
    ),
)


@dataclass(frozen=True)
class Person:
    """A person's fields by Meta's key, as typed."""

    country: str
    fields: dict[str, str]


def people(each: int, seed: int = 7) -> list[Person]:
    """So many people of every locale."""
    chance = random.Random(seed)  # noqa: S311 - nothing here is secret
    return [person for locale in LOCALES for person in _of(locale, each, chance)]


def _of(locale: Locale, each: int, chance: random.Random) -> Iterator[Person]:
    for number in range(each):
        first, last = chance.choice(locale.first), chance.choice(locale.last)
        fields = {
            "em": f"{chance.choice(('', ' '))}{_mailbox(chance, number)}@{chance.choice(DOMAINS)}",
            "ph": _filled(chance.choice(locale.phones), chance),
            "fn": _as_typed(first, chance),
            "ln": _as_typed(last, chance),
            "ge": chance.choice(("f", "m", "F", " M ")),
            "db": _birthday(chance),
            "ct": _as_typed(chance.choice(locale.cities), chance),
            "st": chance.choice(locale.states),
            "zp": _filled(chance.choice(locale.postcodes), chance),
            "country": chance.choice(locale.country_names),
            "external_id": chance.choice((f"user-{number}", f" KD {number:05} ", f"{{{chance.getrandbits(64):X}}}")),
        }
        yield Person(locale.country, fields)


def _mailbox(chance: random.Random, number: int) -> str:
    return chance.choice((f"First.Last{number}", f"u{number}+shop", f"O'Hara_{number}", f"{number}x"))


def _as_typed(text: str, chance: random.Random) -> str:
    return chance.choice((text, text, text.upper(), text.lower(), f"  {text}\t", text.replace(" ", "\u00a0")))


def _filled(pattern: str, chance: random.Random) -> str:
    return "".join(str(chance.randrange(10)) if char == "#" else char for char in pattern)


def _birthday(chance: random.Random) -> str:
    return chance.choice(DATES).format(
        y=chance.randrange(1930, 2008), m=chance.randrange(1, 13), d=chance.randrange(1, 29)
    )
