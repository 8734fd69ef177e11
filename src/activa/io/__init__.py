"""Files: written completely or not at all, and read without running anything in them."""

SAMPLER_MARKS = ("sampler.json",)
"""Files by which a folder is known to hold a sampler."""
STORE_MARKS = ("zarr.json", ".zgroup")
"""Files by which a folder is known to be a zarr store."""
