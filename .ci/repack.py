"""Make a source distribution anew, so that equal files give equal bytes.

setuptools notes the time and the owner of each file. ``python .ci/repack.py FILE.tar.gz``, with the
time to note in SOURCE_DATE_EPOCH, in seconds since 1970.
"""

import gzip
import io
import os
import sys
import tarfile
from pathlib import Path


def repack(content: bytes, moment: int) -> bytes:
    """The archive ``content`` with ``moment`` as the time of all, and nobody as the owner."""
    made = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(content)) as old,
        gzip.GzipFile("", "wb", fileobj=made, mtime=moment) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as new,
    ):
        for member in sorted(old.getmembers(), key=lambda one: one.name):
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            member.mtime = moment
            member.pax_headers = {}
            member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            new.addfile(member, old.extractfile(member) if member.isfile() else None)
    return made.getvalue()


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_bytes(repack(path.read_bytes(), int(os.environ["SOURCE_DATE_EPOCH"])))
