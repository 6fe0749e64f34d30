"""What this process runs with, masked: `configuration_report`, and how much of it is shown."""

from profkit.debug.configuration.distributions import distributions, read_distributions_soon
from profkit.debug.configuration.process import mask_arguments
from profkit.debug.configuration.report import ConfigurationReport, configuration_report
from profkit.debug.configuration.rules import Showing, ShowValues, ValueRules, checked_showing

__all__ = [
    "ConfigurationReport",
    "ShowValues",
    "Showing",
    "ValueRules",
    "checked_showing",
    "configuration_report",
    "distributions",
    "mask_arguments",
    "read_distributions_soon",
]
