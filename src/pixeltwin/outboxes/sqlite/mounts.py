"""Which file system a path lies on: over a network neither a lock nor an fsync is what SQLite takes it for."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

MOUNTS: Final = Path("/proc/self/mountinfo")
KERNELS: Final = frozenset(
    ("9p", "afs", "auristorfs", "beegfs", "ceph", "cifs", "coda", "davfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4")
) | {"orangefs", "panfs", "pvfs2", "smb3", "smbfs"}
PROGRAMS: Final = frozenset(  # some of fuse's have their files on a disk of this machine: gocryptfs, mergerfs
    ("ceph", "ceph-fuse", "curlftpfs", "davfs2", "gcsfuse", "glusterfs", "google-drive-ocamlfuse", "juicefs", "mfs")
) | {"rclone", "s3fs", "s3ql", "seaweedfs", "smbnetfs", "sshfs"}
NETWORK: Final = KERNELS | {f"fuse.{name}" for name in PROGRAMS}


def refuse_network(path: Path) -> None:
    """Raise OSError where the path lies on a network file system; a system that does not tell is trusted."""
    kind = file_system(path, MOUNTS.read_text(errors="replace")) if MOUNTS.exists() else ""
    if kind in NETWORK:
        raise OSError(
            f"the outbox {path} lies on a network file system ({kind}), which cannot promise to keep what is written; "
            "set outbox.path to a file on a disk of this machine"
        )


def file_system(path: Path, mounts: str) -> str:
    """The type of the file system below the path, by the text of Linux's mountinfo; empty when there is none."""
    holding = [(len(point.parts), kind) for point, kind in _points(mounts) if path.is_relative_to(point)]
    deepest = max((depth for depth, _ in holding), default=0)
    return next((kind for depth, kind in reversed(holding) if depth == deepest), "")  # the last mount hides others


def _points(mounts: str) -> Iterator[tuple[Path, str]]:
    for line in mounts.splitlines():
        mount, _, system = line.partition(" - ")
        if len(fields := mount.split()) > 4 and system.strip():
            yield Path(re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), fields[4])), system.split()[0]
