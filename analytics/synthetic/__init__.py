"""Seeded deliveries of invented persons in the national spelling, calibrated on published national figures.

Bills are drawn; what each tier pays comes from the plans, through the waterfall the rest of the house uses.
"""

from analytics.synthetic.calibration import Calibration, calibration
from analytics.synthetic.delivery import TABLES, YEARS, write_delivery

__all__ = ["TABLES", "YEARS", "Calibration", "calibration", "write_delivery"]
