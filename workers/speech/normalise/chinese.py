"""Chinese as the embedded voice is to read it: numbers are written as words."""

from __future__ import annotations

import re
from collections.abc import Callable

from workers.speech.normalise import roman

_DIGITS = "零一二三四五六七八九"
_PLACES = ("", "十", "百", "千")
_GROUPS = ("", "万", "亿", "万亿", "亿亿")
_UNITS = {
    "km/h": "公里每小时", "m/s": "米每秒", "km²": "平方公里", "m²": "平方米", "m³": "立方米", "cm²": "平方厘米",
    "km2": "平方公里", "m2": "平方米", "km": "公里", "cm": "厘米", "mm": "毫米",
    "kg": "公斤", "mg": "毫克", "ml": "毫升", "mL": "毫升",
    "KG": "公斤", "KM": "公里", "CM": "厘米", "m": "米", "g": "克", "L": "升", "t": "吨", "GB": "G B", "MB": "M B",
    "℃": "摄氏度", "°C": "摄氏度", "℉": "华氏度", "°F": "华氏度",
    "°": "度", "Hz": "赫兹", "kW": "千瓦", "W": "瓦", "V": "伏",
}  # fmt: skip
_MONEY = {"¥": "元", "￥": "元", "$": "美元", "US$": "美元", "＄": "美元", "€": "欧元", "£": "英镑", "HK$": "港元"}
_AFTER_TWO = re.compile(
    r"个|位|名|只|条|张|本|块|座|间|家|件|次|遍|趟|天|年(?!级|代)|周|小时|分钟|秒|米|公里|公斤|斤|吨|克|升|点|岁|人|种|款|把|支|棵|朵|匹|头|辆|艘|架|台|层|倍|元|杯|瓶|碗|口|包|箱|对|双|组|排|篇|封|首|句|段|千|万|亿"
)
_INT = r"\d{1,3}(?:,\d{3})+|\d+"
_NUM = rf"(?:{_INT})(?:\.\d+)?"
_MAX_COUNTED = 16  # digits
_FOLLOWING = 8  # characters that show what a number counts
_DASH = r"\s?[-–—~～至]\s?"
_FREE = r"(?<![\dA-Za-z.])"
_UNIT = "|".join(map(re.escape, sorted(_UNITS, key=len, reverse=True)))
_SIGN = "|".join(map(re.escape, sorted(_MONEY, key=len, reverse=True)))


def written_out(text: str) -> str:
    """`text` as it is to be read."""
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text


def cardinal(number: int) -> str:
    """A number in words: 10 is 十, 105 一百零五, 20 000 二万."""
    if number < 10:
        return _DIGITS[number]
    words, group, gap = "", 0, False
    while number:
        number, part = divmod(number, 10_000)
        if part:
            said = _four(part)
            # A zero is said where a place between is empty.
            words = said + _GROUPS[group] + ("零" if gap and words else "") + words
            gap = part < 1000
        elif words:
            gap = True
        group += 1
    return words.removeprefix("一") if words.startswith("一十") else words


def _four(part: int) -> str:
    said, empty = "", False
    for place in (3, 2, 1, 0):
        digit = part // 10**place % 10
        if digit:
            said += ("零" if empty and said else "") + _DIGITS[digit] + _PLACES[place]
            empty = False
        else:
            empty = True
    return said


def digits(number: str) -> str:
    """Digit by digit."""
    return "".join(_DIGITS[int(char)] for char in number if char.isdigit())


def spoken(number: str) -> str:
    """A number as it is written: with commas, decimals, or leading zeros."""
    whole, _, decimals = number.replace(",", "").partition(".")
    if not decimals and (len(whole) > 1 and whole.startswith("0")):
        return digits(whole)
    if len(whole) > _MAX_COUNTED:
        return digits(whole)
    return cardinal(int(whole)) + (f"点{digits(decimals)}" if decimals else "")


def _whole(number: str) -> str:
    """A number without its leading zeros; one that nobody counts so far is said digit by digit."""
    return cardinal(int(number)) if len(number) <= _MAX_COUNTED else digits(number)


def _counted(number: str, after: str) -> str:
    """A number before what it counts."""
    return "两" if number == "2" and _AFTER_TWO.match(after) else spoken(number)


def _date(match: re.Match[str]) -> str:
    month, day = int(match["month"]), int(match["day"])
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return match[0]
    return f"{digits(match['year'])}年{cardinal(month)}月{cardinal(day)}日"


def _time(match: re.Match[str]) -> str:
    hour, minute, second = int(match["hour"]), int(match["minute"]), match["second"]
    said = f"{'两' if hour == 2 else cardinal(hour)}点"
    if minute or second:
        said += f"{'零' if 0 < minute < 10 else ''}{cardinal(minute)}分"
    return said + (f"{cardinal(int(second))}秒" if second else "")


def _range(match: re.Match[str]) -> str:
    after = match.string[match.end() : match.end() + _FOLLOWING]
    unit = match["unit"] or ""
    said = f"{_counted(match['first'], unit or after)}到{_counted(match['last'], unit or after)}"
    return said + _UNITS.get(unit, unit if unit != "%" else "")


def _percent_range(match: re.Match[str]) -> str:
    return f"百分之{spoken(match['first'])}到百分之{spoken(match['last'])}"


def _unit(match: re.Match[str]) -> str:
    unit = _UNITS[match["unit"]]
    cold = "零下" if match["minus"] and "度" in unit else "负" if match["minus"] else ""
    if unit.endswith("每小时"):
        return f"每小时{spoken(match['number'])}{unit.removesuffix('每小时')}"
    if unit.endswith("每秒"):
        return f"每秒{spoken(match['number'])}{unit.removesuffix('每秒')}"
    return f"{cold}{_counted(match['number'], unit)}{unit}"


def _money(match: re.Match[str]) -> str:
    scale = match["scale"] or ""
    return f"{_counted(match['number'], scale or '元')}{scale}{_MONEY[match['sign']]}"


def _number(match: re.Match[str]) -> str:
    number, after = match["number"], match.string[match.end() : match.end() + _FOLLOWING]
    minus = "负" if match["minus"] else ""
    is_ordinal = match.string.endswith("第", 0, match.start())
    return minus + (spoken(number) if is_ordinal else _counted(number, after))


def _numeral(match: re.Match[str]) -> str:
    number = roman.value(match["numeral"])
    return match[0] if number is None else f"第{cardinal(number)}{match['what']}"


_Replacement = str | Callable[[re.Match[str]], str]
_RULES: list[tuple[re.Pattern[str], _Replacement]] = [
    (re.compile(r"第\s?(?P<numeral>[IVXL]+)\s?(?P<what>[章节回卷部篇集幕])"), _numeral),
    (
        re.compile(r"(?<=[\u4e00-\u9fff])(?P<numeral>II|III|IV|VI|VII|VIII|IX)(?![A-Za-z])"),
        lambda match: cardinal(roman.value(match["numeral"]) or 0),
    ),
    (re.compile(rf"{_FREE}(?P<year>\d{{4}})[-/.](?P<month>\d{{1,2}})[-/.](?P<day>\d{{1,2}})(?![\d])"), _date),
    (re.compile(rf"{_FREE}(?P<hour>[01]?\d|2[0-4])[:：](?P<minute>[0-5]\d)(?:[:：](?P<second>[0-5]\d))?(?!\d)"), _time),
    (
        re.compile(rf"{_FREE}(?P<first>1\d{{3}}|20\d\d){_DASH}(?P<last>1\d{{3}}|20\d\d)(?=年)"),
        lambda match: f"{digits(match['first'])}到{digits(match['last'])}",
    ),
    (
        re.compile(rf"{_FREE}(?P<first>1\d{{3}}|20\d\d)年{_DASH}(?P<last>1\d{{3}}|20\d\d)(?=年)"),
        lambda match: f"{digits(match['first'])}年到{digits(match['last'])}",
    ),
    (
        re.compile(rf"{_FREE}(?P<year>1[1-9]\d\d|20\d\d)(?=年(?!历史|的历史|来|间|之久|以上))"),
        lambda match: digits(match["year"]),
    ),
    (re.compile(rf"{_FREE}(?P<year>\d\d)(?=年代)"), lambda match: cardinal(int(match["year"]))),
    (re.compile(rf"{_FREE}(?P<first>{_NUM})%?{_DASH}(?P<last>{_NUM})%"), _percent_range),
    (
        re.compile(rf"{_FREE}(?P<minus>[-−]?)(?P<number>{_NUM})%"),
        lambda match: ("负" if match["minus"] else "") + f"百分之{spoken(match['number'])}",
    ),
    (re.compile(rf"{_FREE}(?P<number>{_NUM})‰"), lambda match: f"千分之{spoken(match['number'])}"),
    (re.compile(rf"(?P<sign>{_SIGN})\s?(?P<number>{_NUM})(?P<scale>[万亿千百]*)"), _money),
    (
        re.compile(r"(?<![\d/])(?P<top>\d{1,3})/(?P<bottom>\d{1,3})(?![\d/])"),
        lambda match: f"{cardinal(int(match['bottom']))}分之{cardinal(int(match['top']))}",
    ),
    (
        re.compile(rf"{_FREE}(?P<mobile>1[3-9]\d)[- ]?(?P<middle>\d{{4}})[- ]?(?P<last>\d{{4}})(?!\d)"),
        lambda match: digits(match[0]),
    ),
    (re.compile(rf"{_FREE}(?P<area>0\d{{2,3}})[- ](?P<local>\d{{7,8}})(?!\d)"), lambda match: digits(match[0])),
    (re.compile(r"(?<=打)(?P<call>1[12][0-9]|12315)(?!\d)"), lambda match: digits(match[0]).replace("一", "幺")),
    (
        re.compile(rf"{_FREE}(?P<first>\d+)\s?[:：]\s?(?P<last>\d+)(?!\d)"),
        lambda match: f"{_whole(match['first'])}比{_whole(match['last'])}",
    ),
    (re.compile(rf"{_FREE}(?P<first>{_NUM}){_DASH}(?P<last>{_NUM})\s?(?P<unit>{_UNIT}|)(?![\dA-Za-z])"), _range),
    (re.compile(rf"{_FREE}(?P<minus>[-−]?)(?P<number>{_NUM})\s?(?P<unit>{_UNIT})(?![A-Za-z0-9])"), _unit),
    (re.compile(rf"(?<=\d[万亿])\s?(?P<unit>{_UNIT})(?![A-Za-z0-9])"), lambda match: _UNITS[match["unit"]]),
    (re.compile(r"(?<=\d)\s?[×xX*]\s?(?=\d)"), "乘"),
    (re.compile(r"(?<=\d)\s?÷\s?(?=\d)"), "除以"),
    (re.compile(r"(?<=\d)\s?\+\s?(?=\d)"), "加"),
    (re.compile(r"(?<=\d)\s?=\s?(?=\d)"), "等于"),
    (re.compile(rf"(?<![\dA-Za-z.])(?P<minus>(?<![\w）)])[-−])?(?P<number>{_NUM})(?![A-Za-z])"), _number),
]
