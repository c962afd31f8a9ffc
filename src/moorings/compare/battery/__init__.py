"""The battery: readable features of a response, computed without any model of language behaviour.

Fixed and documented: a feature's name, words and unit do not change, so findings of different runs can be compared.
"""

from moorings.compare.battery import (  # noqa: F401 - importing them registers their features
    caution,
    content,
    copying,
    courtesy,
    language,
    length,
    opening,
    structure,
    tone,
    topics,
)
from moorings.compare.battery.feature import Feature, Measured, feature, features, known_features
from moorings.compare.battery.measure import BatteryTable, measure_battery
from moorings.compare.battery.text import Text

__all__ = ["BatteryTable", "Feature", "Measured", "Text", "feature", "features", "known_features", "measure_battery"]
