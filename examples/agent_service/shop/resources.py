"""What the service holds open while it lives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import httpx
from openai import AsyncOpenAI
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from shop.settings import Plant, Settings


@dataclass(frozen=True, slots=True)
class Resources:
    """The pools, the file of the exported catalogue, and the plants that are in."""

    engine: AsyncEngine
    sessions: async_sessionmaker[AsyncSession]
    llm: AsyncOpenAI
    carrier: httpx.AsyncClient
    catalogue: Path
    plants: frozenset[Plant]

    async def close(self) -> None:
        """Close every pool."""
        await self.llm.close()
        await self.carrier.aclose()
        await self.engine.dispose()


def open_resources(settings: Settings) -> Resources:
    """Build the pools; nothing connects before the first request."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{settings.database}")
    return Resources(
        engine=engine,
        sessions=async_sessionmaker(engine),
        llm=AsyncOpenAI(
            api_key=settings.llm_api_key.get_secret_value(),
            base_url=f"{settings.outside}/v1",
            timeout=30,
            max_retries=4,
        ),
        carrier=httpx.AsyncClient(base_url=f"{settings.outside}/carrier", timeout=30),
        catalogue=settings.database.with_name("catalogue.json"),
        plants=frozenset(Plant) - settings.without,
    )
