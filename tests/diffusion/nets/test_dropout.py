"""Dropout of the parts of a batch is that of the whole."""

import pytest
import torch
from torch import nn

from bayescope.diffusion.nets.dropout import Dropout, Rows, images_of


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("repeats", [1, 3])
def test_parts_drop_what_the_whole_drops(memory_format: torch.memory_format, repeats: int) -> None:
    h = torch.rand(repeats * 7, 6, 3, 5).contiguous(memory_format=memory_format)
    dropout = Dropout(0.4)
    torch.manual_seed(3)
    whole = nn.Dropout(0.4)(h)
    for part in ("all at once", 2, 3):
        rows_of_parts = [Rows(0, 7, 7)] if isinstance(part, str) else [Rows.share(7, i, part) for i in range(part)]
        for rows in rows_of_parts:
            own = h.unflatten(0, (repeats, 7))[:, rows.slice].flatten(0, 1).contiguous(memory_format=memory_format)
            torch.manual_seed(3)
            with images_of(rows):
                found = dropout(own)
            assert torch.equal(found, whole.unflatten(0, (repeats, 7))[:, rows.slice].flatten(0, 1))


def test_it_is_off_in_evaluation_and_plain_without_a_batch() -> None:
    h = torch.rand(4, 2, 3, 3)
    with images_of(Rows(0, 4, 9)):
        assert torch.equal(Dropout(0.5).eval()(h), h)
    torch.manual_seed(0)
    expected = nn.Dropout(0.5)(h)
    torch.manual_seed(0)
    assert torch.equal(Dropout(0.5)(h), expected)


def test_shares_cover_a_batch_and_differ_by_one_image_at_most() -> None:
    for total in range(1, 12):
        for parts in range(1, total + 1):
            shares = [Rows.share(total, i, parts) for i in range(parts)]
            assert [i for rows in shares for i in range(total)[rows.slice]] == list(range(total))
            assert max(rows.size for rows in shares) - min(rows.size for rows in shares) <= 1
