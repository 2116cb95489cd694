"""What is negotiated: the SOP classes of images, in every encoding that there is a decoder for."""

import pytest
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID, DigitalMammographyXRayImageStorageForPresentation, SecondaryCaptureImageStorage

from bayescope.node.network import IMAGE_CLASSES, TRANSFER_SYNTAXES


def test_classes_are_those_of_still_images() -> None:
    assert {DigitalMammographyXRayImageStorageForPresentation, SecondaryCaptureImageStorage} < set(IMAGE_CLASSES)
    assert all("Image Storage" in UID(uid).name and "Video" not in UID(uid).name for uid in IMAGE_CLASSES)


@pytest.mark.parametrize("syntax", TRANSFER_SYNTAXES, ids=lambda uid: uid.name)
def test_each_encoding_can_be_decoded(syntax: UID) -> None:
    assert not syntax.is_encapsulated or get_decoder(syntax).is_available
