"""Conversations to requests to streamed events, over the OpenAI client."""
