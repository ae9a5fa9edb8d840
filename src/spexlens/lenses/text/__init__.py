"""Texts as players: words, sentences, passages, turns, fields; removed, replaced or hidden."""
