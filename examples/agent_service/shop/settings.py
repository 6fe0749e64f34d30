"""The service's settings, from `SHOP_*` environment variables."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Plant(StrEnum):
    """The slow paths planted in this service. Each can be taken out, which puts the mended code in its place."""

    N_PLUS_ONE = "n_plus_one"
    LLM_RETRY = "llm_retry"
    JSON_ENCODE = "json_encode"
    SERIAL_TOOLS = "serial_tools"


class Settings(BaseSettings):
    """`outside` is the address of the LLM server and the carrier, `profiles` the store's, `without` plants left out."""

    model_config = SettingsConfigDict(env_prefix="SHOP_")

    database: Path
    outside: str
    llm_api_key: SecretStr
    profiles: str
    without: frozenset[Plant] = frozenset()
