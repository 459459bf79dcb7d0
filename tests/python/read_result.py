"""Opens a result.h5 with every reader that docs/file-format.md promises, and prints what each one saw as JSON.

Exit code 77: a reader is not installed (its name goes to stderr)."""

import json
import sys
import warnings

try:
    import arviz
    import h5netcdf  # noqa: F401
    import h5py
    import netCDF4  # noqa: F401
    import numpy as np
    import xarray as xr
except ImportError as missing:
    print(missing.name, file=sys.stderr)
    sys.exit(77)


def seen(posterior, weighted):
    """Figures of the two sample groups, from xarray datasets."""
    weight = np.exp(weighted.log_weight.values)
    names = list(posterior.data_vars)
    return {
        "names": names,
        "dims": [list(posterior[name].dims) for name in names],
        "draws": posterior.sizes["draw"],
        "samples": weighted.sizes["sample"],
        "weight_sum": float(weight.sum()),
        "weighted_means": [float((weight * weighted[name].values).sum()) for name in names],
        "means": [float(posterior[name].mean()) for name in names],
        "cube_axes": weighted.unit_cube.attrs["axes"] if "unit_cube" in weighted else None,
        "creation_library": posterior.attrs["creation_library"],
    }


path = sys.argv[1]
out = {}

with h5py.File(path) as file:
    out["h5py"] = {
        "groups": list(file),
        "attributes": {k: v.item() if hasattr(v, "item") else v for k, v in file.attrs.items()},
        "scales": [d.keys()[0] for d in file["posterior"][list(file["posterior"])[-1]].dims],
        "theta_bits": [int(x) for x in file["weighted"][list(file["posterior"])[-1]][:3].view("u8")],
    }

for engine in ["h5netcdf", "netcdf4"]:
    with xr.open_dataset(path, group="posterior", engine=engine) as posterior:
        with xr.open_dataset(path, group="weighted", engine=engine) as weighted:
            out[engine] = seen(posterior, weighted)

with warnings.catch_warnings(record=True):
    warnings.simplefilter("always")
    data = arviz.from_netcdf(path)
    out["arviz"] = {
        "groups": list(data.groups()),
        "rows": list(arviz.summary(data, kind="stats").index),
        "constants": {k: float(v) for k, v in data.constant_data.items()} if "constant_data" in data.groups() else {},
        "lp_is_sum": bool(np.allclose(data.sample_stats.lp, data.sample_stats.log_like + data.sample_stats.log_prior)),
        **seen(data.posterior, data["weighted"]),
    }

json.dump(out, sys.stdout)
