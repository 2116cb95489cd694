"""Remedies for case tables, frames, outside data and the choice of images; see ``remedies.py``."""

from dataclasses import replace

import numpy as np
import pandas as pd
from PIL import Image

from archives import write_inbreast
from bayescope.runs.files import RECORD
from bayescope.runs.model_file import load_model, save_model
from mammograms import mammogram, write_mammogram
from remedies import Place, remedy


def write(p: Place, text: str | bytes, name: str = "cases.csv") -> None:
    p.table()  # the pictures
    content = text.encode() if isinstance(text, str) else text
    (p.folder / name).write_bytes(content)


def csv(p: Place, **columns: object) -> str:
    return p.table(**columns).read_text()


@remedy("data.tables.case_table:_check_header", "fields separated by {} ({}); expected {}. {}")
@remedy("data.tables.table_columns:check_columns", "in lower case. Rename {}")
@remedy("data.tables.table_columns:check_columns", "heads several columns")
@remedy("data.tables.table_columns:check_columns", "Name the columns so")
@remedy("data.tables.case_table:_check_header", "expected a header path,label[,patient][,split]. Add one as the first row")
@remedy("data.tables.case_table:_text", "fields, header with {}")
@remedy("data.tables.case_table:_text", "no rows; expected one for each image")
@remedy("data.tables.case_table:_text", "empty; expected a header")
@remedy("data.tables.case_table:_text", "cannot be read as a table")
@remedy("data.tables.case_table:_decoded", "UTF-16, or no text")
@remedy("data.tables.case_table:_decoded", "is not UTF-8, perhaps Latin-1")
@remedy("data.tables.case_table:_without_blank_columns", "rows with a blank field")
@remedy("data.tables.case_table:_without_blank_columns", "every label is blank")
@remedy("data.tables.table_columns:check_words", "s that mean a missing value")
@remedy("data.tables.case_table:_located", "has the address")
@remedy("data.tables.case_table:_located", "with backslashes")
@remedy("data.tables.case_table:_check_repeats", "rows repeat a file")
@remedy("data.tables.case_table:check_files", "images are not there")
def spoilt_tables(p: Place) -> None:
    good = csv(p)
    lines = good.splitlines()
    for bad in (
        good.replace(",", ";"),
        good.replace("path,label", "Path,Label", 1),
        good.replace("path,label,split", "path,label,label", 1),
        good.replace("path,label", "file,label", 1),
        "\n".join(lines[1:]),
        good.replace(",train", ",train,see note"),
        lines[0] + "\n",
        "",
        lines[0] + '\n"t/0.png,a,train\n',
        good.encode("utf-16"),
        good.replace("t/0.png", "t/ö.png").encode("latin-1"),
        good.replace(",train", ",", 1),
        good.replace(",a,", ",,").replace(",b,", ",,"),
        good.replace(",a,", ",nan,", 1),
        good.replace("t/0.png", "https://somewhere/0.png"),
        good.replace("t/0.png", "t\\0.png"),
        good + "t/../t/0.png,a,train\n",
        good.replace("t/0.png", "t/gone.png"),
    ):
        write(p, bad)
        p.refused(*p.train(p.folder / "cases.csv"))
    write(p, good)
    p.works(*p.train(p.folder / "cases.csv"))


@remedy("data.tables.spelling:unify", "--normalise-labels to take them for the same")
def spellings(p: Place) -> None:
    data = p.table(label=["a", "b", "A", "b "] * 15)
    p.refused(*p.train(data))
    p.works(*p.train(data, "--normalise-labels"))
    p.works("evaluate", p.out, data, "--normalise-labels")


@remedy("data.tables.table_columns:check_columns", "one for each class; expected one column label")
def one_hot(p: Place) -> None:
    table = pd.read_csv(p.table()).assign(benign=[0, 1] * 30, malignant=[1, 0] * 30)
    table.drop(columns="label").to_csv(p.folder / "cases.csv", index=False)
    p.refused(*p.train(p.folder / "cases.csv"))
    table.drop(columns=["benign", "malignant"]).to_csv(p.folder / "cases.csv", index=False)
    p.works(*p.train(p.folder / "cases.csv"))


@remedy("data.tables.case_table:_parquet", "expected Parquet. Export it again")
@remedy("data.tables.case_table:_parquet", "no rows; expected one for each image")
@remedy("data.tables.case_table:_as_text", "contains lists or structures")
def parquet(p: Place) -> None:
    table, path = pd.read_csv(p.table()), p.folder / "cases.parquet"
    path.write_bytes(b"PAR1")
    p.refused(*p.train(path))
    for bad in (table.iloc[:0], table.assign(label=[["a"]] * 60)):
        bad.to_parquet(path)
        p.refused(*p.train(path))
    table.to_parquet(path)
    p.works(*p.train(path))


@remedy("data.load:_cases", "a column frame, which is for DICOM")
@remedy("data.tables.table_columns:check_frames", "is no number from 1 on")
def frame_columns(p: Place) -> None:
    data = p.table(frame=["first"] * 60)
    p.refused(*p.train(data))
    p.refused(*p.train(p.table(frame=["1"] * 60)))
    p.works("prepare", "folder", data, "--out", p.out, "--size", 8, "--workers", 1, "--no-crop", "--no-orient")


@remedy("data.load:load_dataset", "Give data with all three to train on")
@remedy("evaluation.selection:choose_images", "--split train to measure it on its own")
@remedy("evaluation.selection:check_choice", "expected one of {}")
@remedy("evaluation.selection:_of_split", "Give --split all")
@remedy("evaluation.selection:_seen", "expected some. Give another --split")
def which_images(p: Place) -> None:
    arrays = dict(np.load(p.npz))
    tests, trained = p.folder / "tests.npz", p.folder / "trained.npz"
    np.savez(tests, **{key: value for key, value in arrays.items() if key.startswith("test")})
    np.savez(trained, **{key: value for key, value in arrays.items() if key.startswith("train")})
    p.refused(*p.train(tests))
    p.refused("evaluate", p.trained, p.npz, "--split", "whole")
    p.works("evaluate", p.trained, tests, "--split", "all")
    run = p.run
    p.refused("evaluate", run, trained)
    p.works("evaluate", run, trained, "--split", "train")
    p.refused("evaluate", run, tests, "--split", "val")
    outside = p.class_folders(4, side=8)
    for path in outside.rglob("*.png"):
        with Image.open(path) as picture:
            wide = picture.resize((12, 8))
        wide.save(path)
    (outside / "a").rename(outside / "upper")
    (outside / "b").rename(outside / "lower")
    for split in ("test", "train"):
        p.refused("evaluate", run, outside, "--split", split)
    p.works("evaluate", run, outside, "--split", "all")
    assert (run / RECORD).is_file()


@remedy("evaluation.labelled_input:class_numbers", "the model expects {}. {}")
@remedy("evaluation.labelled_input:load_for_model", "with the settings of the one trained on")
def other_data(p: Place) -> None:
    p.works(*p.prepare())
    p.refused("evaluate", p.trained, p.out)
    p.refused("evaluate", p.trained, p.table())
    p.works("evaluate", p.trained, p.npz)


@remedy("evaluation.evaluate:check_class", "expected one of the classes: {}")
@remedy("cli.options:_named", "twice; expected each class once, e.g. {}")
@remedy("cli.options:_named", "expected one for each class, e.g. {}")
@remedy("cli.options:frame_from_text", "expected a number from 1 on, or all")
def names_of_classes(p: Place) -> None:
    words = ("evaluate", p.trained, p.npz)
    p.refused(*words, "--positive", "cancer")
    p.refused(*words, "--prevalence", "upper=0.5,upper=0.5")
    p.refused(*words, "--prevalence", "upper=0.5")
    p.works(*words, "--positive", "lower", "--prevalence", "upper=0.5,lower=0.5")
    p.refused("classify", p.trained, p.picture(), "--frame", "first")
    p.works("classify", p.trained, p.picture(), "--frame", "1")


@remedy("cli.options:report_warnings", "With --strict this is refused")
def strict(p: Place) -> None:
    rng = np.random.default_rng(0)
    for name in "ab":
        for i in range(20):
            p.picture(f"set/{name}/{i}.png", rng.integers(0, 255, (8, 8)).astype(np.uint8))
    table = [
        {"path": f"set/{n}/{i}.png", "label": n, "split": ("train", "val", "test")[i % 3]} for n in "ab" for i in range(20)
    ]
    (p.folder / "set/a/2.png").write_bytes((p.folder / "set/a/0.png").read_bytes())
    pd.DataFrame(table).to_csv(p.folder / "strict.csv", index=False)
    p.refused(*p.train(p.folder / "strict.csv", "--strict"))
    p.works(*p.train(p.folder / "strict.csv"))


@remedy("inference.read:_expanded", "Give a folder of images")
@remedy("inference.read:_expanded", "Give the cache alone")
@remedy("inference.read:_read", "its model prepares DICOM files in the same way")
@remedy("inference.read:_read", "the model expects")
@remedy("inference.read:_frames", "Leave --frame out")
@remedy("data.formats.dicom.limits:check_header", "or --frame all for each")
@remedy("data.formats.dicom.limits:check_header", "Give another --frame")
def files_for_a_model(p: Place) -> None:
    (p.folder / "nothing").mkdir()
    p.refused("classify", p.trained, p.folder / "nothing")
    p.works("classify", p.trained, p.picture("pictures/a.png").parent)
    p.refused("classify", p.trained, p.picture("small.png", np.arange(81, dtype=np.uint8).reshape(9, 9)), code=1)
    p.refused("classify", p.trained, p.picture(), "--frame", "3", code=1)
    dicom = p.folder / "frames.dcm"
    write_mammogram(dicom, mammogram(96, 80), frames=2)
    p.refused("classify", p.trained, dicom, "--frame", "1", code=1)
    p.works(*p.prepare())
    model = p.folder / "model"
    p.works("train", p.out, "--out", model, "--config", p.toml, "--steps", 2)
    p.refused("classify", model, p.out, p.picture())
    p.works("classify", model, p.out)
    p.refused("classify", model, dicom, code=1)
    p.refused("classify", model, dicom, "--frame", "3", code=1)
    for frame in ("1", "2", "all"):
        p.works("classify", model, dicom, "--frame", frame)


@remedy("inference.sizing:check_sizing", "does not record how its training images were brought to")
@remedy("evaluation.labelled_input:_of_model_size", "pixels; the model expects {}x{}. {}")
def images_of_another_size(p: Place) -> None:
    small = p.picture("small.png", np.arange(81, dtype=np.uint8).reshape(9, 9))
    p.refused("classify", p.trained, small, code=1)
    p.works("classify", p.trained, small, "--resize")
    older = p.folder / "older"
    save_model(older, replace(load_model(p.trained), sizing=None))
    p.refused("classify", older, small, "--resize")
    p.works("classify", older, p.picture("fits.png"))
    for k, name in enumerate(p.data.class_names):
        for i in range(3):
            p.picture(f"others/{name}/{i}.png", np.full((9, 9), 40 * k + 10 * i + 90, dtype=np.uint8))
    p.refused("evaluate", p.trained, p.folder / "others", "--split", "all")
    p.works("evaluate", p.trained, p.folder / "others", "--split", "all", "--resize")


@remedy("cli.explain:_check_one_image", "Give one of its files")
@remedy("cli.explain:_check_one_image", "Explain one frame at a time")
@remedy("data.archives.__init__:read_archive", "expected them with folder only. Leave them out")
def one_image(p: Place) -> None:
    words = ("explain", p.trained)
    out = ("--out", p.out)
    picture = p.picture("pictures/a.png")
    p.refused(*words, picture.parent, *out)
    p.refused(*words, picture, "--frame", "all", *out)
    p.works(*words, picture, *out)
    write_inbreast(p.folder / "inbreast", 12)
    task = (
        "prepare",
        "inbreast",
        p.folder / "inbreast",
        "--out",
        p.folder / "c",
        "--size",
        8,
        "--workers",
        1,
        "--task",
        "1-3/4-6",
    )
    p.refused(*task, "--frame", "1")
    p.works(*task, "--folds", 2, "--val-fraction", 0.3)
