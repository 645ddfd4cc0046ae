"""The language server: what editors ask about rule files. Pure functions on rule files and places, a thin server."""
