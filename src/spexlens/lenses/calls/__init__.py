"""Calls of chat models: their messages, tools and documents as players; calls that were logged."""
