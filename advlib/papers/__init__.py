"""The papers' tables (tables.csv) and claims (claims.toml), a folder a study, as package data."""
