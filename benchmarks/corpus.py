# ruff: noqa: E501  (sentences are as long as they are)
"""Texts to hold estimates against, by class: this project's own files, articles of the Universal Declaration of Human
Rights (public domain), and figures made from a seed. Nothing here was ever anybody's prompt."""

import json
import re
from functools import cache
from pathlib import Path
from random import Random

from metering.estimates.content import CJK, CODE, DATA, DIGITS, EMOJI, OTHER_SCRIPTS, PROSE

_ROOT = Path(__file__).resolve().parents[1]
_CHUNK, _MOST = 700, 60  # characters of a text, texts of a class
_PROSE_FILES = ("docs/ledger.md", "docs/gateway.md", "docs/user-guide.md", "docs/admin-guide.md", "docs/operations.md")
_CODE_FILES = (
    *(
        "metering/rating.py",
        "metering/bounds.py",
        "credits/services/holds.py",
        "static/js/app.js",
        "static/css/base.css",
    ),
    *("credits/sql/ledger_v1.sql", "sandbox/inference.py", "templates/metering/usage.html"),
)
_LATIN = (
    "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft und Gewissen begabt und sollen "
    "einander im Geist der Brüderlichkeit begegnen.",
    "Tous les êtres humains naissent libres et égaux en dignité et en droits. Ils sont doués de raison et de conscience et "
    "doivent agir les uns envers les autres dans un esprit de fraternité.",
    "Todos los seres humanos nacen libres e iguales en dignidad y derechos y, dotados como están de razón y conciencia, "
    "deben comportarse fraternalmente los unos con los otros.",
    "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw. Są oni obdarzeni rozumem i sumieniem "
    "i powinni postępować wobec innych w duchu braterstwa.",
    "Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar. Akıl ve vicdana sahiptirler ve birbirlerine karşı "
    "kardeşlik zihniyeti ile hareket etmelidirler.",
)
_OTHER = (
    "Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены разумом и совестью и должны "
    "поступать в отношении друг друга в духе братства.",
    "Каждый человек имеет право на жизнь, на свободу и на личную неприкосновенность.",
    "Всі люди народжуються вільними і рівними у своїй гідності та правах. Вони наділені розумом і совістю і повинні діяти "
    "у відношенні один до одного в дусі братерства.",
    "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα. Είναι προικισμένοι με λογική και "
    "συνείδηση, και οφείλουν να συμπεριφέρονται μεταξύ τους με πνεύμα αδελφοσύνης.",
    "يولد جميع الناس أحرارا متساوين في الكرامة والحقوق. وقد وهبوا عقلا وضميرا وعليهم أن يعامل بعضهم بعضا بروح الإخاء.",
    "لكل فرد الحق في الحياة والحرية وسلامة شخصه.",
    "כל בני האדם נולדו בני חורין ושווים בערכם ובזכויותיהם. כולם חוננו בתבונה ובמצפון, לפיכך חובה עליהם לנהוג איש ברעהו "
    "ברוח של אחווה.",
    "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है। उन्हें बुद्धि और अन्तरात्मा की देन प्राप्त है "
    "और परस्पर उन्हें भाईचारे के भाव से बर्ताव करना चाहिए।",
    "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ ต่างมีเหตุผลและมโนธรรม และควรปฏิบัติต่อกันด้วยเจตนารมณ์แห่งภราดรภาพ",
    "সমস্ত মানুষ স্বাধীনভাবে সমান মর্যাদা এবং অধিকার নিয়ে জন্মগ্রহণ করে। তাঁদের বিবেক এবং বুদ্ধি আছে; সুতরাং সকলেরই একে অপরের প্রতি "
    "ভ্রাতৃত্বসুলভ মনোভাব নিয়ে আচরণ করা উচিত।",
)
_EAST = (
    "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。",
    "人人有资格享受本宣言所载的一切权利和自由，不分种族、肤色、性别、语言、宗教、政治或其他见解。",
    "人人有权享有生命、自由和人身安全。任何人不得使为奴隶或奴役；一切形式的奴隶制度和奴隶买卖，均应予以禁止。",
    "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。人間は、理性と良心とを授けられており、互いに同胞の精神をもって行動しなければならない。",
    "すべて人は、生命、自由及び身体の安全に対する権利を有する。何人も、奴隷にされ、又は苦役に服することはない。",
    "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다. 인간은 천부적으로 이성과 양심을 부여받았으며 서로 형제애의 정신으로 행동하여야 한다.",
    "모든 사람은 생명과 신체의 자유와 안전에 대한 권리를 가진다.",
)
_PICTURES = "😀😂🥲😎🤖👩‍💻👍🏽🙏🔥✨🎉🚀📈📉💳🧾🔑🛒📦🌍🌧️☕🍕🐈🦊🌲🏔️🚲✈️🕐❤️💚✅❌⚠️➡️🇵🇹🇯🇵🇧🇷"


@cache
def corpus() -> dict[str, list[str]]:
    """Texts by class; the same in every run."""
    random = Random(20)
    return {
        PROSE: [*_paragraphs(), *_LATIN],
        CODE: [chunk for name in _CODE_FILES for chunk in _chunks(name)][:: max(1, len(_CODE_FILES) // 4)][:_MOST],
        DATA: [_record(random) for _ in range(_MOST)],
        DIGITS: [_figures(random) for _ in range(_MOST)],
        OTHER_SCRIPTS: _joined(_OTHER, random),
        CJK: _joined(_EAST, random),
        EMOJI: ["".join(random.choices(_PICTURES, k=random.randint(12, 60))) for _ in range(_MOST // 2)],
    }


def _paragraphs() -> list[str]:
    """Sentences of the documentation, without its tables and code."""
    found = []
    for name in _PROSE_FILES:
        text = (_ROOT / name).read_text(encoding="utf-8")
        plain = [part for part in re.split(r"\n\s*\n", text) if not re.search(r"[|`#]|^\s*[-*>]", part, re.MULTILINE)]
        found += [" ".join(part.split()) for part in plain if len(part) > 120]
    return found[:_MOST]


def _chunks(name: str) -> list[str]:
    text = (_ROOT / name).read_text(encoding="utf-8")
    return [text[start : start + _CHUNK] for start in range(0, len(text) - _CHUNK, _CHUNK)]


def _record(random: Random) -> str:
    """What an interface answers with, and what is pasted of it."""
    rows = [
        {
            "id": f"{random.getrandbits(64):016x}",
            "name": random.choice(("Northwind", "Lumen", "Kestrel")) + f"-{random.randint(1, 99)}",
            "amount": f"{random.random() * 100:.4f}",
            "active": random.random() < 0.5,
            "at": f"2026-0{random.randint(1, 9)}-1{random.randint(0, 9)}T08:{random.randint(10, 59)}:00Z",
            "tags": random.sample(["billing", "production", "search", "chat", "nightly"], 2),
        }
        for _ in range(random.randint(2, 6))
    ]
    return json.dumps(rows, indent=random.choice((None, 2)))


def _figures(random: Random) -> str:
    """Numbers as they stand in tables and logs."""
    return " ".join(str(random.randint(10, 10 ** random.randint(2, 11))) for _ in range(random.randint(20, 70)))


def _joined(sentences: tuple[str, ...], random: Random) -> list[str]:
    """Texts of a few sentences each."""
    return [" ".join(random.sample(sentences, random.randint(1, 3))) for _ in range(_MOST)]
