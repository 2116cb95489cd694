"""Fetching of images from a DICOMweb server: QIDO-RS finds new studies, WADO-RS retrieves their images."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from dicomweb_client.api import DICOMwebClient
from pydicom.datadict import tag_for_keyword
from requests import HTTPError

from bayescope.dicom import to_bytes
from bayescope.errors import DataError, RunError
from bayescope.node.database import Database
from bayescope.node.intake import Intake
from bayescope.node.journal import Journal, describe
from bayescope.node.metrics import Metrics
from bayescope.node.network import IMAGE_CLASSES
from bayescope.node.peers import PollConfig
from bayescope.node.queue import Instance
from bayescope.node.web import describe_answer, web_client

_FIELDS = ["NumberOfStudyRelatedInstances"]


@dataclass(frozen=True)
class Poller:
    """The server, and where its images go."""

    config: PollConfig
    database: Database
    intake: Intake
    journal: Journal
    metrics: Metrics

    def fetch_new(self) -> int:
        """Fetch the images of studies that are new or have grown; the number of images fetched.

        One that cannot be had now is asked for again at the next search.
        """
        client = web_client(self.config)
        known = {row[0]: row[1] for row in self.database.rows("SELECT study_instance_uid, instances FROM studies")}
        try:
            studies = client.search_for_studies(
                fields=_FIELDS, search_filters=study_filters(self.config, date.today()), get_remaining=True
            )
        except (OSError, ValueError) as error:
            self.journal.event("search failed", "warning", server=self.config.url, error=describe_answer(error))
            return 0
        self.journal.audit("Query", "E", server=self.config.url, found=len(studies))
        self._forget(known.keys() - {_value(study, "StudyInstanceUID") for study in studies})
        counts = {_value(study, "StudyInstanceUID"): _value(study, "NumberOfStudyRelatedInstances") for study in studies}
        changed = {uid: count for uid, count in counts.items() if uid and (count is None or known.get(uid) != count)}
        return sum(self._fetch_study(client, uid, count) for uid, count in changed.items())

    def _forget(self, studies: Iterable[str]) -> None:
        """Studies that the server no longer lists."""
        with self.database.transaction() as connection:
            connection.executemany("DELETE FROM studies WHERE study_instance_uid = ?", [(uid,) for uid in studies])

    def _fetch_study(self, client: DICOMwebClient, study: str, count: int | None) -> int:
        fetched = refused = 0
        try:
            for series, sop_class, uid in self._instances(client, study):
                if self._is_wanted(sop_class, uid):
                    try:
                        fetched += self._fetch(client, study, series, sop_class, uid)
                    except HTTPError as error:  # the server answers, and may have the others
                        refused += 1
                        self.journal.event("image not fetched", "warning", instance=uid, error=describe_answer(error))
        except (OSError, ValueError, RunError) as error:
            refused += 1
            self.journal.event("study not fetched", "warning", study=study, error=describe_answer(error))
        if count is not None and not refused:
            with self.database.transaction() as connection:
                connection.execute("INSERT OR REPLACE INTO studies VALUES (?, ?)", (study, count))
        if fetched:
            self.journal.audit("DICOM Instances Transferred", "C", server=self.config.url, studies=[study], objects=fetched)
        return fetched

    def _instances(self, client: DICOMwebClient, study: str) -> list[tuple[str, str, str]]:
        """Series, SOP class and UID of what a study holds."""
        found = []
        for series in client.search_for_series(study, get_remaining=True):
            if self.config.modalities and _value(series, "Modality") not in self.config.modalities:
                continue
            uid = str(_value(series, "SeriesInstanceUID"))
            instances = client.search_for_instances(study, uid, get_remaining=True)
            found += [(uid, str(_value(item, "SOPClassUID")), str(_value(item, "SOPInstanceUID"))) for item in instances]
        return found

    def _is_wanted(self, sop_class: str, uid: str) -> bool:
        queue = self.intake.queue
        return sop_class in IMAGE_CLASSES and queue.find(uid) is None and not queue.is_result(uid)

    def _fetch(self, client: DICOMwebClient, study: str, series: str, sop_class: str, uid: str) -> bool:
        """Whether the image was kept; one that is no image is recorded and not fetched again."""
        content = to_bytes(client.retrieve_instance(study, series, uid, media_types=(("application/dicom", "*"),)))
        try:
            self.intake.accept(content, self.config.url, (uid, sop_class))
        except DataError as error:
            self.metrics.fetched.labels("refused").inc()
            self.journal.event("object refused", "warning", instance=uid, error=describe(error))
            self.intake.queue.add(Instance(uid, sop_class, study, file="", source=self.config.url), describe(error))
            return False
        self.metrics.fetched.labels("kept").inc()
        self.journal.event("object stored", instance=uid, server=self.config.url, bytes=len(content), new=True)
        return True


def study_filters(config: PollConfig, today: date) -> dict[str, str]:
    """What studies are searched for, with the range of dates where only late ones are."""
    if config.days is None:
        return dict(config.filters)
    return {"StudyDate": f"{today - timedelta(days=config.days):%Y%m%d}-", **config.filters}


def _value(found: dict[str, Any], keyword: str) -> Any:
    """The first value of an attribute in the DICOM JSON model; None if it is absent or empty."""
    tag = tag_for_keyword(keyword)
    return next(iter(found.get(f"{tag:08X}", {}).get("Value", ())), None)
