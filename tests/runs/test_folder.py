"""Run folders: killed as they begin, gone on with, replaced, and left alone."""

import os
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from bayescope.config import Config, dump_toml, read_config
from bayescope.data.dataset import Dataset
from bayescope.errors import ConfigError, RunError
from bayescope.fitting.fit import fit_run
from bayescope.runs.files import CONFIG, MANIFEST, METRICS, MODEL, RECORD, REPORT, STATE
from bayescope.runs.folder import check_run, manifest_of, open_run, read_manifest
from bayescope.runs.model_file import load_model
from helpers import same_weights
from started import Started

_KILL_AT_RENAME = """
import os, pathlib, signal
rename, done = pathlib.Path.replace, 0
def die(self, target):
    global done
    done += 1
    if done == {number}:
        os.kill(os.getpid(), signal.SIGKILL)
    return rename(self, target)
pathlib.Path.replace = die
from bayescope.cli.main import run
run()
"""


def no_steps(progress: object) -> None:
    raise AssertionError("a step was taken")


def with_evidence(config: Config, **changes: object) -> Config:
    return config.model_copy(update={"evidence": config.evidence.model_copy(update=changes)})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "left"),
    [
        (1, [r"\.config\.toml\.\w+"]),
        (2, [r"\.images\.parquet\.\w+", CONFIG]),
        (3, [r"\.run\.json\.\w+", CONFIG, RECORD]),
        (4, [r"\.metrics\.jsonl\.\w+", CONFIG, RECORD, MANIFEST]),
    ],
)
def test_a_run_killed_as_it_begins_is_gone_on_with(
    tiny_npz: Path, tiny_config: Config, tiny_run: Path, tmp_path: Path, cli: Callable, number: int, left: list[str]
) -> None:
    run, config = tmp_path / "run", tmp_path / "c.toml"
    config.write_text(dump_toml(tiny_config))
    command = ["train", tiny_npz, "--out", run, "--config", config]
    code = _KILL_AT_RENAME.format(number=number)
    assert Started(command, code).wait() == -signal.SIGKILL
    found = sorted(path.name for path in run.iterdir())
    assert [bool(re.fullmatch(pattern, name)) for pattern, name in zip(left, found, strict=True)] == [True] * len(left)
    assert cli(*command).code == 2
    assert cli(*command, "--resume").code == 0
    assert {path.name for path in run.iterdir()} == {CONFIG, MANIFEST, METRICS, MODEL, RECORD, STATE}
    first, second = (load_model(folder).denoiser.state_dict() for folder in (run, tiny_run))
    assert all((first[key] == second[key]).all() for key in first)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"resume": True}, {"force": True}])
def test_half_begun_folders_start_anew_and_parts_of_files_go(
    tiny_data: Dataset, tiny_config: Config, tiny_run: Path, tmp_path: Path, options: dict[str, bool]
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for name in (".config.toml.x1_yzabc", ".run.json.abcdefgh", CONFIG):
        (run / name).write_text("half")
    with pytest.raises(RunError, match="exists already"):
        fit_run(tiny_data, tiny_config, run)
    fit_run(tiny_data, tiny_config, run, **options)
    assert same_weights(tiny_run, run)
    (run / ".state.safetensors.abcdefgh").write_text("part")
    fit_run(tiny_data, tiny_config, run, resume=True)
    assert {path.name for path in run.iterdir()} == {CONFIG, MANIFEST, METRICS, MODEL, RECORD, STATE}


@pytest.mark.parametrize("options", [{}, {"resume": True}, {"force": True}])
@pytest.mark.parametrize("name", ["thesis.txt", ".thesis.txt.abcdefgh"])
def test_other_folders_are_left_alone(
    tiny_data: Dataset, tiny_config: Config, tmp_path: Path, options: dict[str, bool], name: str
) -> None:
    (tmp_path / CONFIG).write_text("mine")
    (tmp_path / name).write_text("precious")
    with pytest.raises(RunError, match="exists"):
        fit_run(tiny_data, tiny_config, tmp_path, watch=no_steps, **options)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {CONFIG: "mine", name: "precious"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda config: config.model_copy(update={"device": "cuda:99"}), "device 'cuda:99'"),
        (lambda config: with_evidence(config, max_passes=1), "max_passes 1"),
    ],
)
def test_what_cannot_be_finished_is_refused_before_anything_is_touched(
    tiny_data: Dataset,
    tiny_config: Config,
    tiny_run: Path,
    tmp_path: Path,
    change: Callable[[Config], Config],
    message: str,
) -> None:
    run = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    config = change(tiny_config)
    with pytest.raises(ConfigError, match=message):
        fit_run(tiny_data, config, run, force=True, watch=no_steps)
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before
    with pytest.raises(ConfigError, match=message):
        fit_run(tiny_data, config, tmp_path / "new", watch=no_steps)
    assert not (tmp_path / "new").exists()


def test_resume_may_score_otherwise_but_not_train_otherwise(
    tiny_data: Dataset, tiny_config: Config, tiny_run: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    trained = tiny_config.training.model_copy(update={"learning_rate": 0.5})
    with pytest.raises(RunError, match="another configuration of training"):
        fit_run(tiny_data, tiny_config.model_copy(update={"training": trained}), run, resume=True)
    assert same_weights(tiny_run, run)
    otherwise = with_evidence(tiny_config, levels=5, level_weights="bound").model_copy(update={"device": "cpu"})
    model = fit_run(tiny_data, otherwise, run, resume=True, watch=no_steps)
    assert len(model.level_weights.weights) == 5
    assert read_config(run / CONFIG) == otherwise
    assert load_model(run).config == otherwise


def test_a_model_scored_with_old_settings_does_not_stay_beside_new_ones(
    tiny_data: Dataset, tiny_config: Config, tiny_run: Path, tmp_path: Path
) -> None:
    def interrupted(images: int) -> None:
        raise KeyboardInterrupt

    run, otherwise = shutil.copytree(tiny_run, tmp_path / "run"), with_evidence(tiny_config, levels=5)
    with pytest.raises(KeyboardInterrupt):
        fit_run(tiny_data, otherwise, run, resume=True, scored=interrupted)
    with pytest.raises(RunError, match="has not finished"):
        load_model(run)
    assert len(fit_run(tiny_data, otherwise, run, resume=True).level_weights.weights) == 5


@pytest.mark.slow
def test_force_replaces_the_run_and_what_was_made_of_it_and_leaves_the_rest(
    tiny_data: Dataset, tiny_config: Config, tiny_run: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    made = [run / name for name in (REPORT, "measures.json", "model.onnx", "model.pt2.json", "README.md")]
    for path in made:
        path.write_text("library_name: bayescope")
    (run / "thesis.txt").write_text("precious")
    fit_run(tiny_data, tiny_config.model_copy(update={"seed": 1}), run, force=True)
    assert [path for path in made if path.exists()] == []
    assert (run / "thesis.txt").read_text() == "precious"
    assert load_model(run).config.seed == 1


def test_force_leaves_a_readme_of_someone_else(tiny_data: Dataset, tiny_config: Config, tmp_path: Path) -> None:
    manifest = manifest_of(tiny_data)
    open_run(tmp_path, tiny_config, manifest)
    (tmp_path / "README.md").write_text("my notes")
    open_run(tmp_path, tiny_config, manifest, force=True)
    assert (tmp_path / "README.md").read_text() == "my notes"


class Killed(BaseException):
    """Nothing is done from here on, not even tidying up."""


def kill_at(number: int, patch: pytest.MonkeyPatch) -> None:
    """Let this many changes to the disk come to pass less one, and no more."""
    done = 0

    def dying(act: Callable) -> Callable:
        def call(*arguments: object, **options: object) -> object:
            nonlocal done
            done += 1
            if done >= number:
                raise Killed
            return act(*arguments, **options)

        return call

    for owner, name in ((Path, "unlink"), (Path, "replace"), (Path, "chmod"), (shutil, "rmtree"), (os, "fsync")):
        patch.setattr(owner, name, dying(getattr(owner, name)))


@pytest.mark.parametrize("absent", [(), (MANIFEST, METRICS, STATE)], ids=["a run", "a model alone"])
def test_a_run_killed_as_it_is_replaced_is_still_a_run(
    tiny_data: Dataset, tiny_config: Config, tiny_run: Path, tmp_path: Path, absent: tuple[str, ...]
) -> None:
    others = {"notes.json": "written down", "thesis.txt": "precious"}
    config, manifest = tiny_config.model_copy(update={"seed": 1}), manifest_of(tiny_data, tmp_path)
    for number in range(1, 50):
        run = Path(shutil.copytree(tiny_run, tmp_path / str(number)))
        for name in absent:
            (run / name).unlink()
        for name, text in others.items():
            (run / name).write_text(text)
        with pytest.MonkeyPatch.context() as patch:
            kill_at(number, patch)
            try:
                open_run(run, config, manifest, force=True)
            except Killed:
                killed = True
            else:
                killed = False
        if not absent:
            check_run(run, read_config(run / CONFIG), manifest, resume=True)
        check_run(run, config, manifest, force=True)
        open_run(run, config, manifest, force=True)
        assert {path.name for path in run.iterdir()} == {CONFIG, MANIFEST, *others}
        assert {name: (run / name).read_text() for name in others} == others
        assert (read_config(run / CONFIG), read_manifest(run)) == (config, manifest)
        if not killed:
            break
    assert not killed
    assert number > 8
