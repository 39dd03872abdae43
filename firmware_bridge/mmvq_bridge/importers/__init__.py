"""Recordings in other people's formats, as recording files."""
