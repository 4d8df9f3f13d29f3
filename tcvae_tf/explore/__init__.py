"""A trained run as one page of HTML that opens from a file, without a server or a network: its decoder runs in it."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import html
import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from tcvae_tf import files, pictures, results, runs
from tcvae_tf.codes import Codes
from tcvae_tf.explore import contents
from tcvae_tf.explore import decoder as decoders
from tcvae_tf.explore.decoder import pack

__all__ = ["Page", "write"]

#: Draws from the prior that the page holds.
DRAWS = 256


@dataclasses.dataclass(frozen=True)
class Page:
    """A page that was written.

    Attributes:
      path: the file.
      size: its bytes.
      dtype: of the decoder's kernels in it.
      rounding: the largest change of a pixel's probability that the dtype makes, over `codes` codes.
      codes: codes at which that was measured.
    """

    path: Path
    size: int
    dtype: str
    rounding: float
    codes: int

    @property
    def kernels(self) -> str:
        """How the decoder's kernels are kept, and what that costs."""
        cost = f"no pixel's probability moves by more than {self.rounding:.1g} at {self.codes} codes"
        return f"kernels in {self.dtype}" + (f": {cost}" if self.rounding else "")

    def __str__(self) -> str:
        return f"{self.path}: {self.size / 1e6:.2f} MB; {self.kernels}"


def write(home: str | Path, path: str | Path) -> Page:
    """Writes the page of a finished run, whole or not at all. The same run gives the same bytes.

    On it: a slider for each latent and what the decoder draws, live; images to start from, by their factors; what each
    latent knows of each factor; measures, curves of training and provenance. It asks the network for nothing.

    Args:
      home: a run's directory, with record.json, checkpoint/latest.keras, codes.npz and pictures.npz.
      path: the HTML file.

    Raises:
      ValueError: a directory that is none, of a run that is not finished, or with files that cannot be read; a decoder
        with a layer that the page does not know.
    """
    home, path = Path(home), Path(path)
    record = _read(home, "record.json", files.read_json)
    vae = _model(home)
    found, arrays = _read(home, "codes.npz", Codes.load), _read(home, "pictures.npz", pictures.load)
    history = _read(home, "history.csv", results.read_rows) if (home / "history.csv").exists() else []
    draws = _draws(vae, found.latent_dim)
    starts, z = contents.starts(found, int(arrays["anchor"]))
    probes = np.concatenate([z[:: -(-len(z) // DRAWS)], draws]).astype("f4")
    portable = decoders.portable(vae.decoder, probes)
    payload = {
        "title": contents.title(record["run"]),
        "subtitle": contents.subtitle(record),
        "shape": list(vae.image_shape),
        "operations": portable.operations,
        "latents": contents.latents(arrays, found),
        "least": contents.LEAST,
        "starts": starts,
        "draws": pack(draws, "float16"),
        "image": pack(arrays["anchor_image"], "uint8"),
        "check": _check(vae, found.loc[int(arrays["anchor"])]),
        "information": contents.information(arrays, record),
        "measures": contents.measures(record),
        "curves": contents.curves(history),
    }
    written = Page(path, 0, portable.dtype, portable.rounding, len(probes))
    payload["provenance"] = contents.provenance(record, written.kernels)
    text = _page(payload)
    files.write_text(path, text)
    return dataclasses.replace(written, size=len(text.encode()))


def _read(home: Path, name: str, read: Any) -> Any:
    """A file of a run's directory; one line that says what is wrong where it cannot be read."""
    if not home.is_dir():
        raise ValueError(f"explore: there is no directory {home}; give that of a run, runs/<id>")
    if not (home / name).exists():
        if name == "record.json":
            raise ValueError(f"explore: {runs.unfinished(home)}")
        raise ValueError(f"explore: {home / name} is missing; {_again(home)}")
    try:
        return read(home / name)
    except (*files.UNREADABLE, TypeError) as error:
        what = " ".join(str(error).split())[:200]
        raise ValueError(f"explore: {home / name} cannot be read ({what}); {_again(home)}") from error


def _again(home: Path) -> str:
    return (
        f"delete record.json and codes.npz in {home} and run it again, with as many threads: what its checkpoint still "
        "holds is then not trained anew"
    )


def _model(home: Path) -> Any:
    """The VAE of a run."""
    loaded = runs.from_preset(home.resolve())
    vae = getattr(loaded, "vae", loaded)
    if not hasattr(vae, "decoder"):
        raise ValueError(f"explore: the model of {home} has no decoder; only a tc.VAE or a tc.FactorVAE has a page")
    return vae


def _draws(vae: Any, latent_dim: int) -> np.ndarray:
    """Samples of the prior, [DRAWS, D]."""
    prior = vae.prior
    shape = DRAWS if prior.batch_shape.rank else (DRAWS, latent_dim)
    return prior.sample(shape, seed=(0, 0)).numpy()


def _check(vae: Any, loc: np.ndarray) -> dict:
    """A code, and what Keras makes of it by the kernels of the page, which holds its decoder against that."""
    probabilities = vae.decode(loc[None].astype("f4")).mean().numpy()
    return {"z": loc.astype(float).tolist(), "probabilities": pack(probabilities)}


def _page(payload: dict) -> str:
    """The template with its style, scripts and data, and a policy that lets only these run and nothing be fetched."""
    style, script = "\n" + _part("page.css"), "\n" + _part("decoder.js") + _part("page.js")
    policy = ["default-src 'none'", "img-src data:", "base-uri 'none'", "form-action 'none'"]
    policy += [f"script-src 'sha256-{_digest(script)}'", f"style-src 'sha256-{_digest(style)}'"]
    data = json.dumps(payload, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    fields = {
        "policy": "; ".join(policy),
        "title": html.escape(payload["title"]),
        "style": style,
        "script": script,
        "data": data.replace("<", "\\u003c"),  # which could end the element that the data stand in
    }
    return re.sub(r"{{(\w+)}}", lambda found: fields[found[1]], _part("page.html"))


def _part(name: str) -> str:
    """A file of this package."""
    return resources.files(__package__).joinpath(name).read_text("utf-8")


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
