"""Tokens hidden from attention, their positions kept."""
