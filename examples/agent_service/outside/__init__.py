"""What lies outside the service: an OpenAI-compatible server, and a carrier's API. Its own process."""
