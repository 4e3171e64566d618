"""The version, where every part may read it: of results, and of the package, which imports all parts."""

__version__ = "0.1.0"
