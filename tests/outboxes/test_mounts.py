"""The sqlite outbox knows a network file system when it sees one."""

import re
from pathlib import Path

import pytest

from pixeltwin.outboxes.sqlite import mounts
from pixeltwin.outboxes.sqlite.mounts import file_system, refuse_network

# The form is that of proc(5).
MOUNTINFO = r"""
22 1 252:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
36 22 0:31 / /srv rw,noatime - nfs4 files:/srv rw,vers=4.2
37 36 252:2 / /srv/local\040disk rw - xfs /dev/vdb rw
38 22 252:3 / /data rw - ext4 /dev/vdc rw
39 22 0:40 / /data rw - cifs //files/data rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib/outbox.db", "ext4"),
        ("/srv/outbox.db", "nfs4"),
        ("/srvother/outbox.db", "ext4"),
        ("/srv/local disk/outbox.db", "xfs"),
        ("/data/outbox.db", "cifs"),
    ],
)
def test_the_last_and_deepest_mount_counts(path: str, kind: str) -> None:
    assert file_system(Path(path), MOUNTINFO) == kind


@pytest.mark.parametrize("text", ["", "nonsense", "1 2 3 - x", "22 1 252:1 / / rw - "])
def test_mounts_that_cannot_be_read_name_no_file_system(text: str) -> None:
    assert file_system(Path("/srv/outbox.db"), text) == ""


def test_a_network_file_system_is_refused_with_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mountinfo").write_text(MOUNTINFO)
    monkeypatch.setattr(mounts, "MOUNTS", tmp_path / "mountinfo")
    refuse_network(Path("/var/lib/outbox.db"))
    with pytest.raises(OSError, match=r"network file system \(nfs4\).*set outbox.path to a file on a disk"):
        refuse_network(Path("/srv/outbox.db"))


@pytest.mark.parametrize(
    "kind",
    ["9p", "beegfs", "gpfs", "lustre", "fuse.gcsfuse", "fuse.juicefs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs"],
)
def test_every_network_file_system_is_refused_by_its_name(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mountinfo").write_text(f"36 22 0:31 / /srv rw - {kind} files:/srv rw")
    monkeypatch.setattr(mounts, "MOUNTS", tmp_path / "mountinfo")
    with pytest.raises(OSError, match=rf"network file system \({re.escape(kind)}\)"):
        refuse_network(Path("/srv/outbox.db"))


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "zfs", "overlay", "fuseblk", "fuse.gocryptfs"])
def test_file_systems_of_this_machine_are_taken(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mountinfo").write_text(f"36 22 0:31 / /srv rw - {kind} /dev/vdb rw")
    monkeypatch.setattr(mounts, "MOUNTS", tmp_path / "mountinfo")
    refuse_network(Path("/srv/outbox.db"))


def test_a_system_that_does_not_tell_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mounts, "MOUNTS", tmp_path / "nowhere")
    refuse_network(Path("/srv/outbox.db"))
