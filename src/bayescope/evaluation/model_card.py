"""A model card (Mitchell et al. 2019) in the layout of Hugging Face, from what a run knows; nothing is fetched or sent."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bayescope.errors import ConfigError
from bayescope.evaluation.run_facts import run_facts
from bayescope.runs.files import CARD, MEASURES, write_text
from bayescope.runs.model_file import load_model

_TEMPLATE = Path(__file__).with_name("model_card.md.j2")
_GROUPS = ("measures", "bayescope", "by_class", "trust")
"""Keys that say no more than what stands below them."""

_HEADLINE = ("AUC", "accuracy")
Row = tuple[str, str, str]


def write_model_card(run: Path, target: Path | None = None) -> Path:
    """Write the model card of a run, as ``bayescope card`` does.

    Parameters
    ----------
    run : Path
        Folder written by ``bayescope train``; what was measured is taken from ``measures.json`` in it.
    target : Path, optional
        File to write (default: README.md in the run folder, where Hugging Face looks for it).

    Returns
    -------
    Path
        The file.

    Raises
    ------
    RunError
        If the run cannot be loaded, a file in it is damaged, or the card cannot be written.
    ConfigError
        If huggingface_hub is not installed.

    Examples
    --------
    >>> write_model_card(Path("runs/breast"))  # doctest: +SKIP
    """
    target = target or run / CARD
    write_text(target, model_card(run_facts(run, load_model(run)), run.resolve().name))
    return target


def model_card(facts: Mapping[str, Any], name: str) -> str:
    """Markdown with a YAML head, of a model of this ``name`` and its ``facts``, as of :mod:`bayescope.evaluation.run_facts`.

    Raises ConfigError if huggingface_hub is not installed.
    """
    try:
        from huggingface_hub import EvalResult, ModelCard, ModelCardData
    except ImportError:
        raise ConfigError(
            "a model card: huggingface_hub not installed; expected the optional package of model cards. Install it: "
            "`pip install 'bayescope[card]'`"
        ) from None
    source, rows = facts["data"].get("source", "unknown"), list(measure_rows(facts["measures"]))
    headline = facts["measures"].get("measures") or facts["measures"].get("bayescope") or {}
    about = {"task_type": "image-classification", "dataset_type": source, "dataset_name": source}
    head = ModelCardData(
        license="other",
        library_name="bayescope",
        pipeline_tag="image-classification",
        tags=["medical-imaging", "likelihood-ratio", "diffusion-classifier"],
        model_name=name,
        eval_results=[
            EvalResult(**about, metric_type=measure, metric_value=headline[measure]["value"])
            for measure in _HEADLINE
            if measure in headline
        ]
        or None,
    )
    values = {**facts, "name": name, "source": source, "rows": rows, "measures_file": MEASURES}
    return str(ModelCard.from_template(head, template_path=str(_TEMPLATE), **values))


def measure_rows(found: Mapping[str, Any], where: str = "") -> Iterator[Row]:
    """``(measure, value, 95 % interval)`` of all estimates in what was measured, wherever they stand."""
    for key, value in found.items():
        path = ", ".join(filter(None, [where, "" if key in _GROUPS else key]))
        if isinstance(value, Mapping) and "value" in value:
            yield _cell(path), _number(value["value"]), f"{_number(value.get('low'))} to {_number(value.get('high'))}"
        elif isinstance(value, Mapping):
            yield from measure_rows(value, path)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _cell(text: str) -> str:
    """In a Markdown table."""
    return text.replace("|", "\\|")
