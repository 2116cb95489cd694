"""The labelled images of a run's own data, read or drawn again."""

from pathlib import Path

from bayescope.data.labelled import whole
from bayescope.evaluation.demo import redraw
from bayescope.evaluation.progress import Progress, counting, no_progress
from bayescope.evaluation.selection import ChosenImages, choose_images, unseen_images
from bayescope.inference.model import LikelihoodModel
from bayescope.runs.folder import read_record, training_data


def images_of_run(
    model: LikelihoodModel,
    run: Path,
    data: Path | None = None,
    split: str = "auto",
    progress: Progress = no_progress,
    normalise_labels: bool = False,
) -> tuple[ChosenImages, bool]:
    """Images to measure ``run`` on, from ``data`` or else from what it was trained on, and whether they are of the demo.

    Those of a run of ``bayescope demo``, which are in no file, are drawn again.  ``split`` as of
    :func:`bayescope.evaluation.selection.choose_images`.  Raises RunError if the run does not record where its data are,
    DataError and ConfigError as :func:`bayescope.evaluation.selection.unseen_images`.
    """
    drawn = None if data else redraw(run, model.config.seed)
    if drawn:
        return choose_images(whole(drawn), read_record(run), split), True
    read = counting(progress, "reading images")
    return unseen_images(model, run, data or training_data(run), split, read, normalise_labels), False
