"""The country codes that are in use for each polygon of Natural Earth, so that no usual code is reported.

Natural Earth draws who controls an area, and ISO 3166-1 has codes for parts that Natural Earth draws inside
another country. A data set may follow either of them, or a claim, or use a sovereign's code for a territory.
The outlines only serve to find places that are somewhere else altogether, so a code gets every polygon for
which it is used. This takes no position on whose land it is.
"""

from __future__ import annotations

from typing import NamedTuple

# Areas that Natural Earth draws without a numeric code -> the alpha-3 codes that places there have.
UNNUMBERED = {
    "Akrotiri": ("GBR", "CYP"),
    "Baikonur": ("KAZ", "RUS"),
    "Bajo Nuevo Bank": ("COL", "JAM", "USA"),
    "Clipperton I.": ("FRA",),
    "Coral Sea Is.": ("AUS",),
    "Cyprus U.N. Buffer Zone": ("CYP",),
    "Dhekelia": ("GBR", "CYP"),
    "Indian Ocean Ter.": ("AUS",),
    "Kosovo": ("XKX", "SRB"),
    "N. Cyprus": ("CYP",),
    "Scarborough Reef": ("CHN", "PHL", "TWN"),
    "Serranilla Bank": ("COL", "HND", "USA"),
    "Siachen Glacier": ("IND", "PAK"),
    "Somaliland": ("SOM",),
    "Spratly Is.": ("BRN", "CHN", "MYS", "PHL", "TWN", "VNM"),
    "USNB Guantanamo Bay": ("USA", "CUB"),
}


class Part(NamedTuple):
    """Polygons of one country inside a box, in degrees, for which another code is used too."""

    code: str
    of: str
    west: float = -180.0
    south: float = -90.0
    east: float = 180.0
    north: float = 90.0


# Parts with a code of their own that are drawn inside a country.
PARTS = (
    Part("GUF", "FRA", -55.0, 2.0, -51.0, 6.0),
    Part("GLP", "FRA", -62.0, 15.8, -60.9, 16.6),
    Part("MTQ", "FRA", -61.3, 14.3, -60.7, 15.0),
    Part("MYT", "FRA", 44.9, -13.1, 45.4, -12.5),
    Part("REU", "FRA", 55.0, -21.5, 56.0, -20.7),
    Part("BES", "NLD", -68.6, 11.9, -68.0, 12.5),  # Bonaire
    Part("BES", "NLD", -63.5, 17.3, -62.8, 17.8),  # Saba, Sint Eustatius
    Part("SJM", "NOR", 10.0, 74.0, 34.0, 81.0),
    Part("SJM", "NOR", -10.0, 70.5, -7.5, 71.5),  # Jan Mayen
    Part("BVT", "NOR", 3.0, -55.0, 4.0, -54.0),
    Part("CXR", "AUS", 105.4, -10.7, 105.9, -10.3),
    Part("CCK", "AUS", 96.7, -12.4, 97.1, -11.8),
    Part("TKL", "NZL", -173.0, -10.0, -171.0, -8.0),
)

# Territories with a polygon of their own, whose places may have the sovereign's code.
TERRITORIES = {
    "AUS": "HMD NFK",
    "CHN": "HKG MAC",
    "DNK": "FRO GRL",
    "FIN": "ALA",
    "FRA": "ATF BLM MAF NCL PYF SPM WLF",
    "GBR": "AIA BMU CYM FLK GGY GIB IMN IOT JEY MSR PCN SGS SHN TCA VGB",
    "NLD": "ABW CUW SXM",
    "NZL": "COK NIU",
    "USA": "ASM GUM MNP PRI UMI VIR",
}

# Held by one, claimed or formerly held by the other: either code is in use. Boxes are generous.
DISPUTED = (
    Part("ARE", "IRN", 54.9, 25.8, 55.1, 26.0),
    Part("ARG", "FLK"),
    Part("ARM", "AZE", 46.2, 38.8, 47.4, 40.4),
    Part("CHN", "TWN"),
    Part("CHN", "IND", 91.5, 26.5, 97.5, 29.6),
    Part("ESH", "MAR", -17.2, 20.7, -8.6, 27.67),
    Part("IND", "CHN", 77.0, 32.0, 80.5, 36.0),
    Part("IND", "PAK", 72.5, 34.6, 78.0, 37.1),
    Part("IND", "PAK", 73.5, 32.8, 75.0, 34.6),
    Part("ISR", "PSE"),
    Part("ISR", "SYR", 35.5, 32.6, 36.0, 33.5),
    Part("JPN", "RUS", 145.3, 43.3, 149.0, 45.6),
    Part("MAR", "ESH"),
    Part("PAK", "IND", 73.4, 32.3, 79.0, 35.8),
    Part("SDN", "EGY", 33.0, 21.9, 37.2, 23.2),
    Part("SDN", "SSD", 27.5, 9.0, 29.5, 10.3),
    Part("SSD", "SDN", 27.5, 9.0, 29.5, 10.3),
    Part("TWN", "CHN", 111.0, 15.5, 113.0, 17.3),
    Part("TWN", "CHN", 118.1, 24.3, 118.6, 24.6),
    Part("TWN", "CHN", 119.8, 25.9, 120.6, 26.5),
    Part("UKR", "RUS", 32.0, 44.0, 37.0, 46.5),
    Part("VNM", "CHN", 111.0, 15.5, 113.0, 17.3),
)

# Codes in use that are not in ISO 3166-1: Natural Earth's and the World Bank's own, and withdrawn ones.
ALIASES = {
    "ALD": "ALA",
    "CYN": "CYP",
    "KOS": "XKX",
    "KSV": "XKX",
    "PSX": "PSE",
    "ROM": "ROU",
    "SAH": "ESH",
    "SDS": "SSD",
    "SOL": "SOM",
    "TMP": "TLS",
    "UNK": "XKX",
    "WBG": "PSE",
    "XK": "XKX",
    "XKK": "XKX",
    "XKO": "XKX",
    "ZAR": "COD",
}
