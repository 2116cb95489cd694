"""Remedies for archives and engines; see ``remedies.py``."""

import shutil
from pathlib import Path

import fsspec
import pandas as pd

from bayescope.archive.ledger import Ledger
from remedies import NOT_FOLLOWED, Place, remedy

NOT_FOLLOWED |= {
    ("engines.ray_cluster:check_installed", ""): "needs an installation without Ray",
    ("engines.ray_cluster:_workers", ""): "needs a cluster with GPUs",
    ("engines.ray_cluster:_connect", ""): "needs another cluster",
    ("engines.ray_cluster:_error_of_worker", ""): "needs workers without memory: test_classify_on_ray.py goes on after a kill",
}


def classify(p: Place, source: object, *options: object) -> tuple[object, ...]:
    return ("classify", p.trained, source, "--out", p.folder / "answers.parquet", *options)


@remedy("engines.__init__:open_engine", "Add it, or leave --address out")
def address_of_the_local_engine(p: Place) -> None:
    p.refused(*classify(p, p.picture(), "--address", "auto"))
    p.works(*classify(p, p.picture()))


@remedy("cli.engines:check_archive_options", "Leave {} out, or give another --out")
def options_of_archives_and_others(p: Place) -> None:
    p.refused("classify", p.trained, p.picture(), "--workers", 1)
    p.works("classify", p.trained, p.picture())
    p.refused(*classify(p, p.picture(), "--sr", p.folder / "reports"))
    p.works(*classify(p, p.picture()))


@remedy("archive.addresses:open_filesystem", "or correct the address")
@remedy("archive.addresses:find_files", "Check the address")
@remedy("archive.addresses:_unreachable", "Check the address and the credentials")
def addresses_that_lead_nowhere(p: Place) -> None:
    fsspec.filesystem("memory").pipe_file("/there/a.png", p.picture().read_bytes())
    p.refused(*classify(p, "memry://there"))
    p.refused(*classify(p, "memory://elsewhere"))
    p.refused(*classify(p, "memory://there/elsewhere.parquet"))
    p.works(*classify(p, "memory://there"))
    fsspec.filesystem("memory").rm("/there", recursive=True)


@remedy("archive.listing:list_images", "Give a source with images")
@remedy("archive.listing:_of_path", "expected images. Check the path")
@remedy("archive.listing:_of_path", "Give the cache alone")
def sources_without_images(p: Place) -> None:
    (p.folder / "empty").mkdir()
    p.refused(*classify(p, p.folder / "empty"))
    p.refused(*classify(p, p.folder / "emty"))
    p.works(*classify(p, p.picture("full/a.png").parent))
    cache = p.prepared.parent / "cache"
    line = ("classify", p.prepared, cache, "--out", p.folder / "cached.parquet")
    p.refused(*line, p.picture())
    p.works(*line)


@remedy("archive.listing:_of_table", "Export it again")
@remedy("archive.listing:_of_table", "Name the column so")
def tables_of_paths(p: Place) -> None:
    table = p.folder / "paths.parquet"
    table.write_bytes(b"no Parquet")
    p.refused(*classify(p, table))
    pd.DataFrame({"file": [str(p.picture())]}).to_parquet(table)
    p.refused(*classify(p, table))
    pd.DataFrame({"path": [str(p.picture())]}).to_parquet(table)
    p.works(*classify(p, table))


@remedy("archive.ledger:start", "exists already; give --force to replace it, or another --out")
@remedy("archive.ledger:start", "Move it, or give another --out")
@remedy("archive.ledger:start", "Give --force to discard them, or another --out")
def what_is_in_the_way(p: Place) -> None:
    from bayescope.archive.classify import classify_archive

    ledger = Ledger(p.folder / "answers.parquet")
    ledger.start("another", force=False)
    p.refused(*classify(p, p.picture()))
    p.works(*classify(p, p.picture(), "--force"))
    p.raises(lambda: classify_archive(p.trained, [str(p.picture())], ledger.out))
    classify_archive(p.trained, [str(p.picture())], ledger.out, force=True)
    p.works("classify", p.trained, p.picture(), "--out", p.folder / "other.parquet")
    ledger.out.unlink()
    Path(p.picture("answers.parquet.parts/a.png"))
    p.refused(*classify(p, p.picture()))
    shutil.move(ledger.folder, p.folder / "moved")
    p.works(*classify(p, p.picture()))
