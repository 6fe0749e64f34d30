"""What goes in and what comes out."""

from __future__ import annotations

from pydantic import BaseModel, Field


class Message(BaseModel):
    """One message to the agent. `limit` bounds how much a tool may bring."""

    customer: int = Field(ge=1)
    text: str = Field(min_length=1, max_length=2000)
    limit: int = Field(default=20, ge=0, le=20_000)


class Answer(BaseModel):
    """An answer in words, and the model that gave it."""

    model: str
    text: str
