"""English as the embedded voice is to read it. Plain numbers are left to it: it reads those well."""

from __future__ import annotations

import re
from collections.abc import Callable

from workers.speech.normalise import roman

_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_MONTH = "|".join(_MONTHS)
_ABBREVIATIONS = {
    r"Mrs\.": "Missis", r"Mr\.": "Mister", r"Ms\.": "Miz", r"Dr\.": "Doctor", r"Prof\.": "Professor",
    r"Rev\.": "Reverend", r"Gen\.": "General", r"Capt\.": "Captain", r"Col\.": "Colonel", r"Lt\.": "Lieutenant",
    r"Sgt\.": "Sergeant", r"Hon\.": "Honourable", r"Gov\.": "Governor", r"Sen\.": "Senator", r"Jr\.": "Junior",
    r"Sr\.": "Senior", r"e\.\s?g\.": "for example", r"i\.\s?e\.": "that is", r"etc\.": "et cetera", r"vs?\.": "versus",
    r"cf\.": "compare", r"approx\.": "approximately", r"Vol\.(?=\s*\d)": "Volume", r"vol\.(?=\s*\d)": "volume",
    r"[Nn]o\.(?=\s*\d)": "number", r"Fig\.(?=\s*\d)": "Figure", r"pp\.(?=\s*\d)": "pages", r"p\.(?=\s*\d)": "page",
    r"[Cc]h\.(?=\s*\d)": "chapter", r"Mt\.(?=\s[A-Z])": "Mount", r"St\.(?=\s[A-Z])": "Saint",
    r"(?<=[a-z] )St\.": "Street",
    r"Ave\.": "Avenue", r"Blvd\.": "Boulevard", r"Jan\.(?=\s*\d)": "January", r"Feb\.(?=\s*\d)": "February",
    r"Aug\.(?=\s*\d)": "August", r"Sept?\.(?=\s*\d)": "September", r"Oct\.(?=\s*\d)": "October",
    r"Nov\.(?=\s*\d)": "November", r"Dec\.(?=\s*\d)": "December",
}  # fmt: skip
_UNITS = {
    "km/h": ("kilometre per hour", "kilometres per hour"), "mph": ("mile per hour", "miles per hour"),
    "m/s": ("metre per second", "metres per second"), "km²": ("square kilometre", "square kilometres"),
    "m²": ("square metre", "square metres"), "m³": ("cubic metre", "cubic metres"), "km": ("kilometre", "kilometres"),
    "cm": ("centimetre", "centimetres"), "mm": ("millimetre", "millimetres"), "kg": ("kilogram", "kilograms"),
    "mg": ("milligram", "milligrams"), "ml": ("millilitre", "millilitres"), "mL": ("millilitre", "millilitres"),
    "lbs": ("pound", "pounds"), "lb": ("pound", "pounds"), "oz": ("ounce", "ounces"), "ft": ("foot", "feet"),
    "yd": ("yard", "yards"), "kHz": ("kilohertz", "kilohertz"), "MHz": ("megahertz", "megahertz"),
    "GHz": ("gigahertz", "gigahertz"), "Hz": ("hertz", "hertz"), "kW": ("kilowatt", "kilowatts"),
    "GB": ("gigabyte", "gigabytes"), "MB": ("megabyte", "megabytes"), "KB": ("kilobyte", "kilobytes"),
    "TB": ("terabyte", "terabytes"), "min": ("minute", "minutes"), "hrs": ("hour", "hours"), "hr": ("hour", "hours"),
    "m": ("metre", "metres"), "g": ("gram", "grams"), "°C": ("degree Celsius", "degrees Celsius"),
    "°F": ("degree Fahrenheit", "degrees Fahrenheit"), "°": ("degree", "degrees"),
}  # fmt: skip
_MONEY = {"$": ("dollar", "cent"), "£": ("pound", "penny"), "€": ("euro", "cent"), "¥": ("yen", "")}
_SCALES = {"k": "thousand", "K": "thousand", "m": "million", "M": "million", "bn": "billion", "B": "billion"}
_FRACTIONS = {"1/2": "one half", "1/3": "one third", "2/3": "two thirds", "1/4": "one quarter", "3/4": "three quarters",
              "1/5": "one fifth", "1/8": "one eighth", "½": "one half", "⅓": "one third", "⅔": "two thirds",
              "¼": "one quarter", "¾": "three quarters"}  # fmt: skip
_DECADES = {"20": "twenties", "30": "thirties", "40": "forties", "50": "fifties", "60": "sixties", "70": "seventies",
            "80": "eighties", "90": "nineties", "10": "tens"}  # fmt: skip
_NUMBER = r"\d[\d,]*(?:\.\d+)?"
_UNIT = "|".join(map(re.escape, sorted(_UNITS, key=len, reverse=True)))
_INVARIABLE = {"yen"}


def written_out(text: str) -> str:
    """`text` as it is to be read."""
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text


def _one(number: str) -> bool:
    return number == "1"


def _money(match: re.Match[str]) -> str:
    sign, amount, cents, scale = match["sign"], match["amount"], match["cents"], match["scale"]
    unit, small = _MONEY[sign]
    many = unit if unit in _INVARIABLE else f"{unit}s"
    if scale:
        scale = _SCALES.get(scale, scale.strip())
        return f"{amount}{'.' + cents if cents else ''} {scale} {many}"
    said = f"{amount} {unit if _one(amount) else many}"
    if not cents or not cents.strip("0") or not small or len(cents) != 2:
        return said if not cents or not cents.strip("0") else f"{amount}.{cents} {many}"
    few = int(cents)
    pence = {"penny": "penny" if few == 1 else "pence"}.get(small, small if few == 1 else f"{small}s")
    return f"{few} {pence}" if amount == "0" else f"{said} and {few} {pence}"


def _time(match: re.Match[str]) -> str:
    hour, minute, half = int(match["hour"]), int(match["minute"]), match["half"]
    after = f" {half[0].upper()} M" if half else ""
    if minute == 0:
        return f"{hour}{after}" if half else f"{hour} o'clock" if 0 < hour <= 12 else f"{hour} hundred hours"
    return f"{hour} {f'oh {minute}' if minute < 10 else minute}{after}"


def _year(year: str) -> str:
    """Years as pairs: `19 84`; those that are not read so are left."""
    first, last = year[:2], year[2:]
    if year.startswith("200") or year == "1000":
        return year
    if last == "00":
        return f"{first} hundred"
    return f"{first} oh {last[1]}" if last[0] == "0" else f"{first} {last}"


def _date(match: re.Match[str]) -> str:
    month, day = int(match["month"]), int(match["day"])
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return match[0]
    return f"{_MONTHS[month - 1]} {_ordinal(day)}, {_year(match['year'])}"


def _ordinal(number: int) -> str:
    ending = "th" if 10 < number % 100 < 14 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _decade(match: re.Match[str]) -> str:
    century, decade = match["century"] or "", match["decade"]
    if decade == "00":
        return f"{century} hundreds" if century != "20" else "two thousands"
    return f"{century} {_DECADES[decade]}".strip() if decade in _DECADES else match[0]


def _named_numeral(match: re.Match[str]) -> str:
    number = roman.value(match["numeral"])
    return match[0] if number is None else f"{match['before']} {number}"


def _monarch(match: re.Match[str]) -> str:
    number = roman.value(match["numeral"])
    return match[0] if number is None else f"{match['before']} the {_ordinal(number)}"


def _unit(match: re.Match[str]) -> str:
    number, unit = match["number"], match["unit"]
    return f"{number} {_UNITS[unit][0 if _one(number) else 1]}"


def _range(match: re.Match[str]) -> str:
    first, last = match["first"], match["last"]
    # Not a telephone number, and not a part number.
    return match[0] if len(first) == 3 and len(last) == 4 else f"{first} to {last}"


def _year_range(match: re.Match[str]) -> str:
    return f"{_year(match['first'])} to {_year(match['last'])}"


_Replacement = str | Callable[[re.Match[str]], str]
_KINGS = (
    "Henry|Louis|Charles|George|Edward|James|William|Richard|Philip|Elizabeth|Mary|Pope \\w+|Benedict|Pius|"
    "Paul|John|Napoleon|Catherine|Frederick|Alexander|Nicholas|Peter|Leo|Gregory|Innocent|Ramses|Otto|"
    "Ferdinand|Wilhelm"
)
_NAMED = (
    "Chapter|Part|Book|Volume|Act|Scene|Section|War|Canto|Appendix|CHAPTER|PART|BOOK|VOLUME|ACT|SCENE|chapter|"
    "part|book|volume|act|scene"
)
_RULES: list[tuple[re.Pattern[str], _Replacement]] = [
    *((re.compile(rf"(?<![\w.]){pattern}"), word) for pattern, word in _ABBREVIATIONS.items()),
    (re.compile(r"(?<![\d/-])(?P<year>\d{4})-(?P<month>\d{2})-(?P<day>\d{2})(?![\d/-])"), _date),
    (re.compile(rf"(?P<before>\b(?:{_NAMED})) (?P<numeral>[IVXL]+)\b"), _named_numeral),
    (re.compile(rf"(?P<before>\b(?:{_KINGS})) (?P<numeral>[IVX]+)\b(?!\.\w)"), _monarch),
    (
        re.compile(
            r"(?P<sign>[$£€¥])\s?(?P<amount>\d[\d,]*)(?:\.(?P<cents>\d+))?"
            r"(?P<scale>\s(?:thousand|million|billion|trillion)\b|(?:k|K|m|M|bn|B)\b)?"
        ),
        _money,
    ),
    (
        re.compile(
            r"(?<![\d:.])(?P<hour>[01]?\d|2[0-3]):(?P<minute>[0-5]\d)(?![\d:])(?:\s?(?P<half>[AaPp])\.?[Mm]\b\.?)?"
        ),
        _time,
    ),
    (
        re.compile(r"(?<![\d:.,])(?P<hour>1[0-2]|[1-9])(?P<minute>)\s?(?P<half>[AaPp])\.?[Mm]\b\.?"),
        lambda match: f"{match['hour']} {match['half'].upper()} M",
    ),
    (re.compile(r"\b(?P<first>1[0-9]\d\d|20\d\d)\s?[-–—]\s?(?P<last>1[0-9]\d\d|20\d\d)\b(?![\d-])"), _year_range),
    (re.compile(r"(?:\b(?P<century>1[0-9]|20)|['’])(?P<decade>\d0)['’]?s\b"), _decade),
    (
        re.compile(rf"(?P<day>\b(?:{_MONTH})\s\d{{1,2}}(?:st|nd|rd|th)?,?\s)(?P<year>1[0-9]\d\d|20[0-9]\d)\b"),
        lambda match: match["day"] + _year(match["year"]),
    ),
    (
        re.compile(rf"(?P<month>\b(?:{_MONTH}),?\s)(?P<year>1[0-9]\d\d|20[0-9]\d)\b(?!\s*(?:people|men|\w+s\b))"),
        lambda match: match["month"] + _year(match["year"]),
    ),
    (
        re.compile(rf"(?P<month>\b(?:{_MONTH}))\s(?P<day>[12]?\d|3[01])\b(?!\s?[\d,.]*\d)"),
        lambda match: f"{match['month']} {_ordinal(int(match['day']))}",
    ),
    (
        re.compile(
            r"(?P<in>\b(?:[Ii]n|[Ss]ince|[Bb]y|[Uu]ntil|[Bb]efore|[Aa]fter|[Yy]ear|[Cc]irca|[Oo]f)\s)(?P<year>1\d\d\d|20[0-9]\d)\b(?![,.]?\d|\s?%|\s(?!and\b|it\b|he\b|she\b|they\b|we\b|the\b|when\b|a\b|to\b|was\b)\w)"
        ),
        lambda match: match["in"] + _year(match["year"]),
    ),
    (
        re.compile(
            r"(?<![\d/])(?:(?P<whole>\d+)\s)?(?P<fraction>[1-3]/[23458])(?![\d/])|(?<!\d)(?P<and>\d+)?(?P<sign>[½⅓⅔¼¾])"
        ),
        lambda match: _fraction(match),
    ),
    (
        re.compile(rf"(?<![\w.])(?<!\d,)(?P<number>{_NUMBER})\s?(?P<unit>{_UNIT})(?![\w/²³])"),
        _unit,
    ),
    (re.compile(r"(?<![\w.,-])(?P<first>\d{1,4})\s?[-–]\s?(?P<last>\d{1,4})(?![\w-]|\.\d|,\d)"), _range),
    (re.compile(r"(?<=\d)\s?×\s?(?=\d)"), " times "),
    (re.compile(r"(?<=\d)\s?÷\s?(?=\d)"), " divided by "),
    (re.compile(r"(?<=[\d\w])\s?=\s?(?=\d)"), " equals "),
    (re.compile(r"(?<=\d)\s?\+\s?(?=\d)"), " plus "),
    (re.compile(r"(?<![\w-])[-−](?=\d)"), "minus "),
    (re.compile(r"(?<!\w)#(?=\d)"), "number "),
    (re.compile(r"(?<=\w)\s?&\s?(?=\w)"), " and "),
]


def _fraction(match: re.Match[str]) -> str:
    whole = match["whole"] or match["and"]
    said = _FRACTIONS.get(match["fraction"] or match["sign"])
    if said is None:
        return match[0]
    return f"{whole} and {'a' if said.startswith('one') else said.split()[0]} {said.split()[1]}" if whole else said
