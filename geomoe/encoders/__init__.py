"""Location encoders: map longitude and latitude to vectors; all in one table, with one contract."""

from geomoe.encoders.base import LocationEncoder
from geomoe.encoders.domain import DomainEmbedding
from geomoe.encoders.fourier import FourierEncoder
from geomoe.encoders.geoclip import GeoCLIP, GeoCLIPEncoder
from geomoe.encoders.harmonics import SphericalHarmonics
from geomoe.encoders.satclip import SatCLIP, SatCLIPEncoder
from geomoe.encoders.simple import Cartesian3DEncoder, WrapEncoder
from geomoe.encoders.siren import SirenNet
from geomoe.encoders.sphere import SphereEncoder, SphereSirenEncoder
from geomoe.encoders.table import ENCODERS, create_encoder

__all__ = [
    "ENCODERS",
    "Cartesian3DEncoder",
    "DomainEmbedding",
    "FourierEncoder",
    "GeoCLIP",
    "GeoCLIPEncoder",
    "LocationEncoder",
    "SatCLIP",
    "SatCLIPEncoder",
    "SirenNet",
    "SphereEncoder",
    "SphereSirenEncoder",
    "SphericalHarmonics",
    "WrapEncoder",
    "create_encoder",
]
