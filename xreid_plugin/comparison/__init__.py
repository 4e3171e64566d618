"""Several configurations and seeds side by side."""
