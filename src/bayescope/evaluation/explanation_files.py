"""Images and arrays of an explanation, as the contents of files."""

import io

import numpy as np
from numpy.typing import NDArray

from bayescope.evaluation.report.overlay import comparison, overlay, scales
from bayescope.inference.explain import PER_NAT, Counterfactual, Explanation, Unit
from bayescope.inference.model import LikelihoodModel
from bayescope.types import Floats


def explanation_files(model: LikelihoodModel, explanation: Explanation, unit: Unit = "nats") -> dict[str, bytes]:
    """Draw an explanation.

    Parameters
    ----------
    model
        The model whose prediction is explained.
    explanation
        What :func:`bayescope.inference.explain.explain` found.
    unit
        Unit of the evidence: ``"nats"``, or ``"bans"``, powers of ten.

    Returns
    -------
    dict of str to bytes
        Contents by file name: ``evidence.png``, the image with its map and the map's outline; ``scales.png``, the maps of the
        finer and the coarser half of the noise levels; ``evidence.npy``, the map ``(height, width)``; ``levels.npy``, the map
        of each noise level ``(levels, height, width)``, fine before coarse, without the constant that belongs to no pixel and
        that ``evidence.npy`` spreads evenly; and ``counterfactual.png`` if there is a counterfactual.
    """
    evidence = explanation.evidence_map.scaled(PER_NAT[unit])
    picture, title = model.scale.to_display(model.scale.to_model(explanation.pixels))[0], explanation.title(unit)
    files = {
        "evidence.png": overlay(picture, evidence.total[0], title, unit),
        "scales.png": scales(_halves(model.sigmas, evidence.levels[0]), title, unit),
        "evidence.npy": _npy(evidence.total[0]),
        "levels.npy": _npy(evidence.levels[0]),
    }
    if explanation.counterfactual is not None:
        files["counterfactual.png"] = _side_by_side(model, explanation, explanation.counterfactual, picture)
    return files


def _halves(sigmas: Floats, by_level: Floats) -> dict[str, Floats]:
    """Maps of the finer and the coarser half of the noise levels, from one for each level."""
    half = len(by_level) // 2
    if not half:
        return {f"σ = {sigmas[0]:.2g}": by_level[0]}
    return {
        f"fine: σ {sigmas[0]:.2g} to {sigmas[half - 1]:.2g}": by_level[:half].sum(axis=0),
        f"coarse: σ {sigmas[half]:.2g} to {sigmas[-1]:.2g}": by_level[half:].sum(axis=0),
    }


def _side_by_side(model: LikelihoodModel, explanation: Explanation, found: Counterfactual, picture: NDArray[np.uint8]) -> bytes:
    display = model.scale.to_display
    pictures = {
        "image": picture,
        f"as {model.class_names[explanation.winner]}": display(found.reconstruction.float().cpu().numpy())[0],
        f"as {model.class_names[explanation.other]}": display(found.image.float().cpu().numpy())[0],
    }
    title = f"the same noise (σ = {found.sigma:g}) denoised as either class"
    return comparison(pictures, found.change[0].mean(dim=0).double().cpu().numpy(), title)


def _npy(array: Floats) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()
