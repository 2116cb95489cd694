"""What is advised about training on several devices, followed; see ``remedies.py``."""

from bayescope.config import dump_toml
from remedies import NOT_FOLLOWED, Place, remedy

NOT_FOLLOWED["diffusion.device:other_processes", ""] = "needs a killed process: tests/training/test_training_processes.py"


@remedy("diffusion.device:join_processes", "Give other numbers, or start otherwise, see docs/scaling.md")
def no_such_devices(p: Place) -> None:
    words = ("train", p.npz, "--out", p.out, "--config", p.toml, "--steps", 2)
    p.refused(*words, "--device", "cuda", "--devices", 4096)
    p.works(*words, "--device", "cpu", "--devices", 1)


@remedy("diffusion.device:check_started_alone", "as many. Give --devices N --nodes M, N processes on each of M machines")
def more_processes_than_devices(p: Place) -> None:
    words = ("train", p.npz, "--out", p.out, "--config", p.toml, "--steps", 2)
    for key, value in (("TORCHELASTIC_RUN_ID", "none"), ("WORLD_SIZE", "2"), ("RANK", "0"), ("LOCAL_RANK", "0")):
        p.patch.setenv(key, value)
    p.refused(*words)
    p.patch.setenv("WORLD_SIZE", "1")
    p.works(*words)


@remedy("training.batches:_check_parts", "Raise training.batch_size, or lower --devices, --nodes or training.accumulate")
def more_parts_than_images(p: Place) -> None:
    def words(batch_size: int, accumulate: int) -> tuple[object, ...]:
        training = p.config.training.model_copy(update={"batch_size": batch_size, "accumulate": accumulate, "steps": 2})
        p.toml.write_text(dump_toml(p.config.model_copy(update={"training": training})))
        return "train", p.npz, "--out", p.out, "--config", p.folder / "config.toml", "--force"

    p.refused(*words(4, 5))
    p.works(*words(5, 5))
    p.works(*words(4, 4))
