"""Country codes against outlines: distances by formulas of the sphere, the real Earth by other sources."""

from __future__ import annotations

import json
import math
from pathlib import Path

import geopandas
import numpy as np
import pyogrio
import pytest
import shapely
from pyproj import Geod
from shapely.geometry import MultiPolygon, box

from geomoe.checking import check as checks
from geomoe.checking.check import check
from geomoe.checking.countries import BORDER_KM, MOST, distance_km, km_outside, read_outlines, summarise
from geomoe.coords import EARTH_RADIUS_KM
from geomoe.earth.countries import country_outlines
from geomoe.errors import DataError
from tests import pictures

LOWRES = Path(pyogrio.__file__).parent / "tests/fixtures/naturalearth_lowres/naturalearth_lowres.shp"


def coded(codes, lonlat, name="train"):
    """A split whose samples have the given codes; None is no code."""
    data = pictures.Pictures("none", np.arange(len(codes)) + 10, name, lonlat=lonlat)
    data.countries = tuple(sorted({code for code in codes if code is not None}))
    numbers = [-1 if code is None else data.countries.index(code) for code in codes]
    data.extra = {"country": np.array(numbers, dtype=np.int64)}
    return data


def looked(data, **options):
    return check({"train": data}, images=0, **options)


def to_meridian(lon, lat):
    """km from a place to a meridian ``lon`` degrees away: Napier's rule in a right-angled triangle."""
    return EARTH_RADIUS_KM * math.asin(math.cos(math.radians(lat)) * math.sin(math.radians(lon)))


def metres(a, b):
    """Distances on the ellipsoid by PROJ."""
    return np.array(Geod(ellps="WGS84").inv(*a.T, *b.T)[2])


@pytest.mark.parametrize("lat", [0.0, 45.0, 60.0, 80.0, -70.0])
def test_degrees_of_longitude_shrink_with_latitude(lat):
    outline = box(0, -89, 10, 89)
    places = np.array([[5.0, lat], [10.0, lat], [10.4, lat], [-1.0, lat], [12.0, lat]])
    expected = [0, 0, *(to_meridian(lon, lat) for lon in (0.4, 1.0, 2.0))]
    np.testing.assert_allclose(distance_km(outline, places), expected, atol=0.2)


def test_the_antimeridian_is_no_border():
    east = box(170, -5, 179.95, 5)
    km = distance_km(east, np.array([[-179.95, 0.0], [180.0, 0.0], [-180.0, 0.0], [179.0, 0.0]]))
    np.testing.assert_allclose(km, [to_meridian(0.1, 0), *[to_meridian(0.05, 0)] * 2, 0], atol=0.7)
    both = MultiPolygon([box(170, -5, 180, 5), box(-180, -5, -170, 5)])
    beyond = box(170, -5, 190, 5)  # the same, drawn on past 180
    places = np.array([[-175.0, 0.0], [179.9, 0.0], [-180.0, 2.0], [-169.0, 0.0], [169.0, 0.0]])
    for outline in (both, beyond):
        km = distance_km(outline, places)
        np.testing.assert_allclose(km, [0, 0, 0, to_meridian(1, 0), to_meridian(1, 0)], atol=0.2)


def test_the_poles():
    cap = box(-180, -90, 180, -70)
    places = np.array([[0.0, -90.0], [123.0, -89.9], [77.0, -69.0], [-180.0, -68.0]])
    degree = EARTH_RADIUS_KM * math.pi / 180
    np.testing.assert_allclose(distance_km(cap, places), [0, 0, degree, 2 * degree], atol=0.1)
    across = box(0, 80, 10, 89.9)  # a place beyond the pole is near
    km = distance_km(across, np.array([[-175.0, 89.9]]))
    assert km == pytest.approx([0.2 * degree], rel=0.01)


def test_overlapping_polygons_have_no_hole_in_common():
    outline = MultiPolygon([box(0, 0, 10, 10), box(9, 0, 20, 10)])
    assert not shapely.is_valid(outline)
    assert distance_km(outline, np.array([[9.5, 5.0]])).tolist() == [0]


def test_summary_and_finding():
    places = [[5, 5], [10.2, 5], [25, 5], [25, 5], [50, 50], [np.nan, np.nan], [1, 1], [11, 5]]
    data = coded(["AAA", "aaa", "BBB", "AAA", "CCC", "AAA", None, "AAA"], places)
    outlines = {"AAA": box(0, 0, 10, 10), "BBB": box(20, 0, 30, 10)}
    km = km_outside(data, outlines)
    assert np.isnan(km).tolist() == [False, False, False, False, True, True, True, False]
    found = summarise(data, km)
    assert (found.judged, found.outside) == (5, 2)
    assert [(one.row, one.code, one.lon, one.lat) for one in found.furthest] == [
        (13, "AAA", 25, 5),
        (17, "AAA", 11, 5),
    ]
    assert found.max_km == found.furthest[0].km == pytest.approx(to_meridian(15, 5), rel=0.01)
    assert found.median_km == pytest.approx(np.mean([one.km for one in found.furthest]))
    assert found.not_judged == {"": 1, "CCC": 1}


def test_the_furthest_are_listed_and_all_are_for_a_map():
    lon = np.linspace(20, 60, 50)
    data = coded(["FRA"] * 50, np.stack([lon, np.full(50, 48.0)], axis=1))
    found = looked(data)
    assert found.countries["train"].outside == 50
    listed = found.countries["train"].furthest
    assert len(listed) == MOST
    assert [one.row for one in listed] == list(range(59, 59 - MOST, -1))
    (odd,) = found.odd
    assert (odd.split, odd.why) == ("train", "country")
    assert odd.position.tolist() == list(range(50))
    np.testing.assert_array_equal(odd.lonlat, data.lonlat)
    assert odd.km[-1] == found.countries["train"].max_km
    assert (odd.km > BORDER_KM).all()


def test_data_without_codes_is_not_judged(monkeypatch):
    monkeypatch.setattr(checks, "country_outlines", None)  # and no outline is read for it
    found = looked(pictures.Pictures("none", [1, 2]))
    assert (found.countries, found.odd) == ({}, [])


def test_known_and_unknown_codes_by_the_outlines_of_the_package():
    codes = ["BRA", "BRA", "XXX", None, "DE", "deu"]
    places = [[-47.9, -15.8], [47.9, 15.8], [1, 1], [2, 2], [13.4, 52.5], [13.4, 52.5]]
    found = looked(coded(codes, places))
    (finding,) = found.findings
    assert finding[:2] == ("warning", "train")
    assert finding.what.startswith(
        "1 sample lies more than 25 km outside the country of their code; row 11 says BRA and is at "
        "lon 47.900, lat 15.800, "
    )
    assert found.countries["train"].not_judged == {"": 1, "XXX": 1}  # a note, no warning


# Places as any atlas has them. The codes are those in use for each, ISO 3166-1 first.
PLACES = {
    "Cayenne": (-52.33, 4.93, "GUF FRA"),
    "Pointe-à-Pitre": (-61.53, 16.24, "GLP FRA GP"),
    "Fort-de-France": (-61.07, 14.61, "MTQ FRA"),
    "Saint-Denis": (55.45, -20.88, "REU FRA"),
    "Mamoudzou": (45.23, -12.78, "MYT FRA"),
    "Nouméa": (166.45, -22.27, "NCL FRA"),
    "Longyearbyen": (15.63, 78.22, "SJM NOR"),
    "Jan Mayen": (-8.67, 70.93, "SJM NOR"),
    "Kralendijk": (-68.27, 12.15, "BES NLD"),
    "Saba": (-63.23, 17.63, "BES NLD"),
    "Willemstad": (-68.93, 12.11, "CUW NLD"),
    "Flying Fish Cove": (105.68, -10.42, "CXR AUS"),
    "Cocos": (96.83, -12.16, "CCK AUS"),
    "Atafu": (-172.5, -8.56, "TKL NZL"),
    "Waitangi, Chatham Islands": (-176.56, -43.95, "NZL"),
    "Nuuk": (-51.74, 64.18, "GRL DNK"),
    "Mariehamn": (19.94, 60.10, "ALA FIN AX"),
    "San Juan": (-66.11, 18.47, "PRI USA"),
    "Honolulu": (-157.86, 21.31, "USA US"),
    "Attu": (173.18, 52.84, "USA"),
    "Midway": (-177.38, 28.21, "UMI USA"),
    "Gibraltar": (-5.35, 36.14, "GIB GBR"),
    "Stanley": (-57.85, -51.70, "FLK GBR ARG"),
    "Vatican": (12.45, 41.90, "VAT ITA"),
    "Funafuti": (179.2, -8.52, "TUV"),
    "Suva": (178.44, -18.14, "FJI"),
    "Vuna, Taveuni": (-179.95, -16.80, "FJI"),
    "Uelen": (-169.81, 66.16, "RUS"),
    "Hong Kong": (114.17, 22.28, "HKG CHN"),
    "Taipei": (121.56, 25.04, "TWN CHN"),
    "Pristina": (21.16, 42.66, "XKX SRB UNK KOS XKO XKK XK"),
    "Ramallah": (35.20, 31.90, "PSE ISR PSX WBG"),
    "Gaza": (34.45, 31.50, "PSE ISR"),
    "Laayoune": (-13.2, 27.15, "ESH MAR SAH EH"),
    "Tifariti": (-10.57, 26.16, "ESH MAR"),
    "Kyrenia": (33.32, 35.34, "CYP CYN"),
    "Hargeisa": (44.07, 9.56, "SOM SOL"),
    "Siachen": (77.1, 35.42, "IND PAK"),
    "Srinagar": (74.80, 34.08, "IND PAK"),
    "Gilgit": (74.31, 35.92, "PAK IND"),
    "Simferopol": (34.10, 44.95, "UKR RUS"),
    "Juba": (31.58, 4.85, "SSD SDS"),
    "Kinshasa": (15.31, -4.32, "COD ZAR"),
    "Bucharest": (26.10, 44.43, "ROU ROM RO"),
    "Dili": (125.57, -8.56, "TLS TMP"),
    "Windhoek": (17.08, -22.56, "NAM NA"),
    "South Pole": (0.0, -90.0, "ATA"),
}


@pytest.mark.parametrize("name", PLACES)
def test_no_usual_code_is_an_alarm(name):
    lon, lat, codes = PLACES[name]
    data = coded(codes.split(), [[lon, lat]] * len(codes.split()))
    found = looked(data).countries["train"]
    assert (found.outside, found.not_judged) == (0, {})
    other = "MNG" if lon < 0 else "PRY"  # far from the sea, on the other half of the Earth
    assert looked(coded([other], [[lon, lat]])).countries["train"].outside == 1


@pytest.mark.slow
@pytest.mark.skipif(not LOWRES.exists(), reason="this pyogrio has no outlines of countries among its tests")
def test_the_outlines_of_another_source():
    """Natural Earth at 1:110m, as geopandas once shipped it: an older edition, with its own codes."""
    frame = pyogrio.read_dataframe(LOWRES)
    frame = frame[frame["iso_a3"] != "-99"]
    assert len(frame) > 170
    points = [
        (code, *part.representative_point().coords[0])
        for code, shape in zip(frame["iso_a3"], frame.geometry, strict=True)
        for part in shapely.get_parts(shape)
    ]
    codes = [code for code, *_ in points]
    lonlat = np.array([place for _, *place in points])
    found = looked(coded(codes, lonlat)).countries["train"]
    assert (found.judged, found.outside, found.not_judged) == (len(points), 0, {})
    # the same places under the code of a country at the other end of the Earth
    middles = {code: lonlat[codes.index(code)] for code in dict.fromkeys(codes)}
    far = np.stack([metres(lonlat, np.broadcast_to(one, lonlat.shape)) for one in middles.values()])
    wrong = [list(middles)[number] for number in far.argmax(axis=0)]
    found = looked(coded(wrong, lonlat)).countries["train"]
    assert found.outside == found.judged == len(points)


@pytest.mark.parametrize(
    ("code", "place"),
    [("BRA", (-17.45, 14.7)), ("RUS", (173.18, 52.84)), ("TUV", (-178.0, -8.5)), ("ATA", (-67.3, -54.9))],
)
def test_distances_to_real_borders_by_another_library(code, place):
    outline = country_outlines()[code]
    border = shapely.get_coordinates(shapely.segmentize(outline, 0.02))
    true = metres(np.broadcast_to(place, border.shape), border).min() / 1000
    assert true > BORDER_KM
    assert distance_km(outline, np.array([place])) == pytest.approx([true], rel=0.006)  # a sphere is rounder


@pytest.fixture
def outlines(tmp_path):
    def square(code, west, south):
        east, north = west + 10, south + 10
        ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
        properties = {"ISO_A3": "-99", "ISO_A3_EH": code}
        geometry = {"type": "Polygon", "coordinates": [ring]}
        return {"type": "Feature", "properties": properties, "geometry": geometry}

    path = tmp_path / "countries.geojson"
    features = [square("AAA", 0, 0), square("BBB", 20, 0)]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def test_a_file_of_outlines_overrides(outlines):
    data = coded(["AAA", "AAA", "BBB", "AAA", "BRA"], [[5, 5], [10.2, 5], [25, 5], [25, 5], [50, 50]])
    found = looked(data, countries=outlines)
    (finding,) = found.findings
    assert finding.what == (
        "1 sample lies more than 25 km outside the country of their code; row 13 says AAA and is at "
        f"lon 25.000, lat 5.000, {to_meridian(15, 5):,.0f} km away"
    )
    assert found.countries["train"].not_judged == {"BRA": 1}
    assert looked(pictures.Pictures("none", [1]), countries=outlines).findings == []


def test_outlines_that_are_none(tmp_path, outlines):
    with pytest.raises(DataError, match="cannot be read as outlines of countries"):
        read_outlines(tmp_path / "missing.shp")
    other = tmp_path / "other.geojson"
    other.write_text(outlines.read_text().replace("ISO_A3_EH", "name").replace("ISO_A3", "code"))
    with pytest.raises(DataError, match="has no column of alpha-3 codes"):
        read_outlines(other)
    content = json.loads(outlines.read_text())
    content["features"][0]["properties"]["ISO_A3_EH"] = {"a": 1}
    other.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"ISO_A3_EH holds .*, which is no alpha-3 code such as 'FRA'"):
        read_outlines(other)
    # told even where no data set has codes
    with pytest.raises(DataError, match="cannot be read as outlines"):
        looked(pictures.Pictures("none", [1]), countries=tmp_path / "missing.shp")


def test_outlines_on_another_planet_are_refused(tmp_path):
    path = tmp_path / "moon.gpkg"
    crs = "+proj=longlat +R=1737400 +no_defs"
    frame = geopandas.GeoDataFrame({"iso_a3": ["FRA"]}, geometry=[box(0, 0, 1, 1)], crs=crs)
    frame.to_file(path)
    with pytest.raises(DataError, match=r"moon.gpkg: its CRS \(.*\) cannot be brought to degrees"):
        read_outlines(path)
