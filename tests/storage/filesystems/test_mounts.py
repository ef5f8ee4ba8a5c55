"""Which file systems other machines may change."""

import os
import sys

import pytest

from h5lightning.storage.filesystems.mounts import file_system_of, is_remote, lies_on_remote, type_of_path

MOUNTS = """\
22 1 259:1 / / rw,relatime shared:1 - ext4 /dev/root rw
36 22 0:44 / /home rw,noatime shared:7 master:1 - nfs4 host:/home rw,vers=4.2
37 22 0:45 /sub /data\\040set rw - fuse.sshfs host:/data rw
"""


@pytest.mark.parametrize(
    ("major", "minor", "expected"),
    [(259, 1, "ext4"), (0, 44, "nfs4"), (0, 45, "fuse.sshfs"), (0, 4, "")],
    ids=["disk", "nfs", "fuse", "unknown"],
)
def test_file_system_of_a_device(major, minor, expected):
    assert file_system_of(os.makedev(major, minor), MOUNTS) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/data/a.h5", "ext4"),
        ("/home/me/a.h5", "nfs4"),
        ("/homely/a.h5", "ext4"),
        ("/data set/a.h5", "fuse.sshfs"),
    ],
    ids=["root", "below a mount", "a longer name", "a blank"],
)
def test_file_system_that_a_path_leads_to(path, expected):
    assert type_of_path(path, MOUNTS) == expected


def test_the_later_mount_at_a_place_counts():
    again = MOUNTS + "38 36 0:50 / /home rw - ext4 /dev/b rw\n"
    assert type_of_path("/home/a.h5", again) == "ext4"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux lists its mounts in /proc")
def test_the_mounts_of_this_machine_are_understood():
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        assert file_system_of(os.stat("/proc").st_dev, file.read()) == "proc"
        assert not is_remote(file.fileno())
    assert not lies_on_remote("/proc/self/mountinfo")
