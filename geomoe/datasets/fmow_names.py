"""Names of FMoW's classes, regions and years, in the order of WILDS' labels."""

from __future__ import annotations

#: The 62 categories of Christie et al. (2018), alphabetical; a label is a position.
CATEGORIES = (
    "airport", "airport_hangar", "airport_terminal", "amusement_park", "aquaculture", "archaeological_site",
    "barn", "border_checkpoint", "burial_site", "car_dealership", "construction_site", "crop_field", "dam",
    "debris_or_rubble", "educational_institution", "electric_substation", "factory_or_powerplant",
    "fire_station", "flooded_road", "fountain", "gas_station", "golf_course",
    "ground_transportation_station", "helipad", "hospital", "impoverished_settlement", "interchange",
    "lake_or_pond", "lighthouse", "military_facility", "multi-unit_residential", "nuclear_powerplant",
    "office_building", "oil_or_gas_facility", "park", "parking_lot_or_garage", "place_of_worship",
    "police_station", "port", "prison", "race_track", "railway_bridge", "recreational_facility",
    "road_bridge", "runway", "shipyard", "shopping_mall", "single-unit_residential", "smokestack",
    "solar_farm", "space_facility", "stadium", "storage_tank", "surface_mine", "swimming_pool",
    "toll_booth", "tower", "tunnel_opening", "waste_disposal", "water_treatment_facility", "wind_farm",
    "zoo",
)  # fmt: skip

#: UN M49 regions; Other: countries that the mapping does not know, and Antarctica. Too few images to be a
#: domain (about 40 in the training split), so it is scored but never counts as the worst, as in WILDS.
REGIONS = ("Asia", "Europe", "Africa", "Americas", "Oceania", "Other")
SOURCE_REGIONS = REGIONS[:-1]
UNCOUNTED = ("Other",)

#: Years that WILDS groups by; an image of another year belongs to no year group.
YEARS = tuple(range(2002, 2018))
