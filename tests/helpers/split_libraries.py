"""Libraries in several files, cut from a Starfish file by plain h5py."""

import h5py
import numpy as np


def write_part(whole, path, lo, hi, *, step=1, factor=1.0, drop=(), rename=None, air=None):
    """Write pixels lo:hi of a library as a file of its own.

    Every `step`-th pixel is kept, the flux is multiplied by `factor`, the points in the rows `drop`
    are left out, parameters are renamed and put into another sequence by `rename`, and the
    attribute `air` of the wavelengths is set, or removed by "unknown".
    """
    with h5py.File(whole) as source, h5py.File(path, "w") as file:
        file.attrs.update(source.attrs)
        file["wl"] = source["wl"][lo:hi:step]
        file["wl"].attrs.update(source["wl"].attrs)
        if air is not None:
            del file["wl"].attrs["air"]
        if air not in (None, "unknown"):
            file["wl"].attrs["air"] = air
        keep = [row for row in range(len(source["grid_points"])) if row not in drop]
        points, names = source["grid_points"][keep], list(source["grid_points"].attrs["names"])
        pattern = source["flux"].attrs["key_name"]
        flux = file.create_group("flux")
        flux.attrs.update(source["flux"].attrs)
        keys = [pattern.format(*point) for point in points]
        for key in keys:
            flux[key] = source["flux"][key][lo:hi:step] * np.float32(factor)
        if rename:
            columns = [names.index(name) for name in rename]
            points, names = points[:, columns], list(rename.values())
            parts = [part for part in pattern.replace("}", "}|").split("|") if part]
            order = np.argsort(columns)  # of the columns in the keys
            flux.attrs["key_name"] = "".join(
                part.replace(f"{{{k}:", f"{{{order[k]}:") for k, part in enumerate(parts)
            )
        file["grid_points"] = points
        file["grid_points"].attrs["names"] = names
    return path


def split(whole, folder, ranges, **options):
    """Write one file for each range of pixels; return their paths."""
    return [
        write_part(whole, folder / f"part_m{k:02}.hdf5", lo, hi, **options)
        for k, (lo, hi) in enumerate(ranges)
    ]
