"""Diagnosis of checkpoints: what experts and routers do, and whether the place matters."""

from geomoe.diagnose.report import Diagnosis
from geomoe.diagnose.run import DiagnosisOptions, diagnose

__all__ = ["Diagnosis", "DiagnosisOptions", "diagnose"]
