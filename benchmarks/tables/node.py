"""A DICOM node killed and started anew while images come in."""

from benchmarks.tables.markdown import read, table

HEADER = (
    "images in studies",
    "associations",
    "node killed",
    "archive restarted",
    "answered once",
    "more than once",
    "lost",
    "sent again",
    "s",
    "node before, MiB",
    "at its peak, MiB",
)


def section() -> list[str]:
    lines = [
        "## DICOM node",
        "",
        "`python -m benchmarks node`: phantom mammograms are sent to `bayescope node` over several associations, and their "
        "reports by the node to a real Orthanc, both by C-STORE. Meanwhile the node is killed with SIGKILL and started again, "
        "and Orthanc stopped and started. A client sends again what was not acknowledged. At the end every report in the "
        "archive is read. Without faults (`--kills 0 --restarts 0`) one process is the node from first to last, and its "
        "peak shows whether memory grows with the images. The model is a tiny one: the time says nothing of a real one's.",
        "",
    ]
    rows = [
        (
            f"{found['instances']} in {found['studies']}",
            found["associations"],
            f"{found['kills']} times",
            f"{found['restarts']} times",
            found["answered_once"],
            found["answered_twice"],
            found["lost"],
            found["sent_again"],
            f"{found['seconds']:.0f}",
            f"{found['idle_mib']:.0f}",
            f"{found['peak_mib']:.0f}",
        )
        for found in read("node")
    ]
    return lines + table(HEADER, rows)
