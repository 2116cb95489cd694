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


@remedy("training.batches:_check_parts", "Set one to 0, or train on one device")
def cropped_with_dropout_in_parts(p: Place) -> None:
    whole = p.config

    def words(dropout: float, crop_snr: float, accumulate: int) -> tuple[object, ...]:
        net = whole.net.model_copy(update={"dropout": dropout, "crop_snr": crop_snr})
        p.config = whole.model_copy(
            update={"net": net, "training": whole.training.model_copy(update={"accumulate": accumulate})}
        )
        return p.train(None, "--force")

    assert "net.dropout 0.3 and net.crop_snr 0.1 in 2 parts" in p.refused(*words(0.3, 0.1, 2))
    for settings in ((0.0, 0.1, 2), (0.3, 0.0, 2), (0.3, 0.1, 1)):
        p.works(*words(*settings))
