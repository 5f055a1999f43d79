"""Small Starfish files, in every layout, written by plain h5py."""

import h5py
import numpy as np

LAYOUTS = ("current", "0.2", "attributes", "keys")
NAMES = ("T", "logg", "Z", "alpha")
LETTERS = {"T": "t", "logg": "g", "Z": "z", "alpha": "a"}
ATTRIBUTES = {"T": "temp", "logg": "logg", "Z": "Z", "alpha": "alpha"}
# Not in the order of the keys as text: t10000 comes before t9900 there.
POINTS = np.array([[t, g] for g in (4.5, 4.0) for t in (9900.0, 10000.0, 3000.0)])
WAVE = np.linspace(5000, 5100, 64)


def spectrum(row, n_pixels=64):
    """The flux that `write` gives the point of a row."""
    return (1e6 * (row + 1) * (1 + 0.1 * np.sin(np.arange(n_pixels) + row))).astype(np.float32)


def key_of(point, names, decimals=None):
    decimals = decimals or {"T": 0}
    return "".join(
        f"{LETTERS[n]}{v:.{decimals.get(n, 1)}f}" for n, v in zip(names, point, strict=True)
    )


def write(
    path, points=POINTS, names=NAMES, layout="current", wave=WAVE, root=None, each=None, keys=None
):
    """A library; `root` are attributes of the file, `each` of every spectrum.

    `keys` are those of the spectra, where they are not to be Starfish's own.
    """
    points = np.asarray(points)
    names = names[: points.shape[1]]
    with h5py.File(path, "w") as file:
        file.attrs.update(root or {})
        file["wl"] = wave
        flux = file.create_group("flux")
        if layout == "current":
            file["grid_points"] = points
            file["grid_points"].attrs["names"] = list(names)
            pattern = "".join(
                f"{LETTERS[n]}{{{d}:.{0 if n == 'T' else 1}f}}" for d, n in enumerate(names)
            )
            flux.attrs["key_name"] = pattern
        elif layout == "0.2":
            file["pars"] = points
        for row, point in enumerate(points):
            key = keys[row] if keys else key_of(point, names)
            flux[key] = spectrum(row, len(wave))
            flux[key].attrs.update(each or {})
            if layout == "attributes":
                for name, value in zip(names, point, strict=True):
                    flux[key].attrs[ATTRIBUTES[name]] = value
    return path
