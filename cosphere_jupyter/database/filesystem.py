"""What kind of file system a folder lies on.

SQLite's write-ahead log needs shared memory between processes, which network file systems do not give: there it
can lose data silently. Homes on JupyterHub are often NFS, so the database looks before it chooses its journal.
"""

from __future__ import annotations

import os
from pathlib import Path

NETWORK_TYPES = frozenset(
    "nfs nfs4 cifs smb smb2 smb3 smbfs afs lustre gpfs beegfs ceph glusterfs 9p afpfs webdav davfs "
    "ncpfs orangefs panfs".split()
)


def mount_type(folder: Path) -> str:
    """Return the type of the file system that holds ``folder`` (``ext4``, ``nfs4``, …; empty if unknown)."""
    import psutil

    resolved = os.path.realpath(folder)
    best, kind = "", ""
    for partition in psutil.disk_partitions(all=True):
        mount = partition.mountpoint
        inside = resolved == mount or resolved.startswith(mount.rstrip(os.sep) + os.sep)
        if inside and len(mount) >= len(best):
            best, kind = mount, partition.fstype
    return kind.lower()


def is_network(kind: str) -> bool:
    """Tell whether a file system of this type is shared over a network (user-space mounts count as such)."""
    return kind in NETWORK_TYPES or kind.startswith("fuse.") or kind == "fuse"
