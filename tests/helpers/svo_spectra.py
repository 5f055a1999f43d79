"""Spectra in the formats of the SVO's theoretical services."""

from pathlib import Path

import numpy as np

HEADER = """\
# BT-Settl (demo)
# teff = {teff:g} K (value for the effective temperature for the model. Temperatures are given in K)
# logg = {logg:g} log(cm/s2) (value for Log(G) for the model.)
# meta = {feh:g}  (value for the Metallicity for the model.)
# alpha = 0  (value for alpha elements over iron abundance.)
# lh = 1.25  (l/Hp where l is the mixing length and Hp is the pressure scale height)
#
# column 1: WAVELENGTH (ANGSTROM), Wavelength in Angstrom
# column 2: FLUX (ERG/CM2/S/A), Flux in erg/cm2/s/A
"""
VOTABLE = """\
<?xml version="1.0"?>
<VOTABLE version="1.1" xmlns="http://www.ivoa.net/xml/VOTable/v1.1">
  <INFO name="QUERY_STATUS" value="OK"/>
  <RESOURCE type="results">
    <TABLE utype="spec:Spectrum">
      <PARAM name="npoints" utype="spec:Length" value="{n}" datatype="int"/>
      <PARAM name="teff" utype="" unit="K" value="{teff:g}" datatype="float">
        <DESCRIPTION>value for the effective temperature for the model.</DESCRIPTION>
      </PARAM>
      <PARAM name="logg" utype="" unit="log(cm/s2)" value="{logg:g}" datatype="float"/>
      <PARAM name="meta" utype="" value="{feh:g}" datatype="float"/>
      <FIELD name="WAVELENGTH" utype="spec:Data.SpectralAxis.Value" ucd="em.wl"
             unit="ANGSTROM" datatype="double"/>
      <FIELD name="FLUX" utype="spec:Data.FluxAxis.Value" ucd="phot.fluDens;em.wl"
             unit="ERG/CM2/S/A" datatype="double"/>
      <DATA>
        <TABLEDATA>
{rows}
        </TABLEDATA>
      </DATA>
    </TABLE>
  </RESOURCE>
</VOTABLE>
"""


def text(star, wavelength, flux, header=HEADER):
    """A spectrum as text; `star` has teff, logg and feh."""
    rows = [f"{w:20.10f} {f:.9e}" for w, f in zip(wavelength, flux, strict=True)]
    return header.format(**star) + "\n".join(rows) + "\n"


def votable(star, wavelength, flux, template=VOTABLE):
    """A spectrum as a VOTable."""
    rows = "\n".join(
        f"<TR><TD>{w:.10f}</TD><TD>{f:.9e}</TD></TR>" for w, f in zip(wavelength, flux, strict=True)
    )
    return template.format(**star, n=len(wavelength), rows=rows)


def write(folder, truth, kind="text", **options):
    """Write all spectra of a demo library; return the folder."""
    folder = Path(folder)
    folder.mkdir(exist_ok=True)
    make, suffix = {"text": (text, ".dat.txt"), "votable": (votable, ".xml")}[kind]
    for point in truth.points:
        star = dict(zip(truth.names, point.tolist(), strict=True))
        flux = np.asarray(truth.spectrum(point))
        name = f"lte{star['teff'] / 100:03.0f}-{star['logg']}-{star['feh']}.BT-Settl{suffix}"
        (folder / name).write_text(make(star, truth.wavelength, flux, **options))
    return folder
