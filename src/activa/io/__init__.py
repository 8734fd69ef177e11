"""Files: written completely or not at all, and read without running anything in them."""

SAMPLER_MARKS = ("sampler.json",)
"""Files by which a folder is known to hold a sampler."""
STORE_MARKS = ("uns/activa/zarr.json", "uns/activa/.zgroup")
"""Files by which a folder is known to be a zarr store of generated cells."""
DEMO_MARKS = ("metrics.csv",)
"""Files by which a folder is known to hold what the demo wrote."""

_ZARR = r"([^/]+/)*(zarr\.json|\.z(group|array|attrs|metadata)|c|\d+(\.\d+)*)"
WRITTEN = {
    SAMPLER_MARKS: rf"sampler\.json|model\.json|weights\.safetensors|tables\.zarr/{_ZARR}",
    STORE_MARKS: _ZARR,
    DEMO_MARKS: r"metrics\.csv|synthetic\.h5ad|umap\.png",
}
"""Marks -> pattern of the files that such a folder has; one with any other file is not overwritten."""
