"""Which region a country is in: ISO 3166-1 numeric codes by UN M49 region, the rule that FMoW uses.

M49 assigns whole countries: Russia is Europe; Turkey, Cyprus, Georgia, Armenia, Azerbaijan and
Kazakhstan are Asia; Egypt (with Sinai) is Africa; Greenland and Hawaii are Americas. Overseas parts
with an ISO code of their own that Natural Earth draws inside another country are listed as boxes.
"""

from __future__ import annotations

AFRICA = """
012 024 072 086 108 120 132 140 148 174 175 178 180 204 226 231 232 260 262 266 270 288 324 384 404
426 430 434 450 454 466 478 480 504 508 516 562 566 624 638 646 654 678 686 690 694 706 710 716 728
729 732 748 768 788 800 818 834 854 894
"""
AMERICAS = """
028 032 044 052 060 068 074 076 084 092 124 136 152 170 188 192 212 214 218 222 238 239 254 304 308
312 320 328 332 340 388 474 484 500 531 533 534 535 558 591 600 604 630 652 659 660 662 663 666 670
740 780 796 840 850 858 862
"""
ASIA = """
004 031 048 050 051 064 096 104 116 144 156 158 196 268 275 344 356 360 364 368 376 392 398 400 408
410 414 417 418 422 446 458 462 496 512 524 586 608 626 634 682 702 704 760 762 764 784 792 795 860
887
"""
EUROPE = """
008 020 040 056 070 100 112 191 203 208 233 234 246 248 250 276 292 300 336 348 352 372 380 428 438
440 442 470 492 498 499 528 578 616 620 642 643 674 680 688 703 705 724 744 752 756 804 807 826 831
832 833
"""
OCEANIA = """
016 036 090 162 166 184 242 258 296 316 334 520 540 548 554 570 574 580 581 583 584 585 598 612 772
776 798 876 882
"""
ANTARCTICA = "010"

REGION_OF_CODE = {
    code: region
    for region, codes in {
        "Asia": ASIA,
        "Europe": EUROPE,
        "Africa": AFRICA,
        "Americas": AMERICAS,
        "Oceania": OCEANIA,
        "Antarctica": ANTARCTICA,
    }.items()
    for code in codes.split()
}

# Areas that Natural Earth draws without an ISO code -> the region in which they lie.
REGION_OF_NAME = {
    "Somaliland": "Africa",
    "Kosovo": "Europe",
    "N. Cyprus": "Asia",
    "Siachen Glacier": "Asia",
    "Indian Ocean Ter.": "Oceania",  # Christmas and Cocos islands: M49 counts them with Australia
}

# (code, west, south, east, north, region): parts of a country that have an ISO code of their own.
OVERSEAS = (
    ("250", -65.0, 2.0, -50.0, 19.0, "Americas"),  # French Guiana 254, Guadeloupe 312, Martinique 474
    ("250", 40.0, -25.0, 60.0, -10.0, "Africa"),  # Reunion 638, Mayotte 175
    ("528", -70.0, 10.0, -60.0, 20.0, "Americas"),  # Caribbean Netherlands 535
)


def region_of(code: str | None, name: str, west: float, south: float, east: float, north: float) -> str:
    """Region of one polygon of a country, given the polygon's bounding box in degrees.

    Raises:
        KeyError: a country is missing in the tables.
    """
    for part, left, bottom, right, top, region in OVERSEAS:
        if code == part and left <= west and east <= right and bottom <= south and north <= top:
            return region
    return REGION_OF_NAME[name] if code is None else REGION_OF_CODE[code]
