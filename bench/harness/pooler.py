"""A real PgBouncer in transaction mode before the private PostgreSQL."""

import os
import shutil
import subprocess
import time
import urllib.parse

from world import BenchError, end, run

PORT = 6432
SETTINGS = """[databases]
* = host={host} port={port} user={user}

[pgbouncer]
unix_socket_dir = {folder}
listen_port = {own_port}
auth_type = any
pool_mode = transaction
default_pool_size = {servers}
max_client_conn = 1000
"""


class Pooler:
    """One that runs while its `with` lasts; `dsn` leads through it, `pid` is its process."""

    def __init__(self, world, servers):
        self.world = world
        parts = urllib.parse.urlsplit(world.dsn)
        asked = dict(urllib.parse.parse_qsl(parts.query))
        self.folder = world.path("pooler")
        self.file = os.path.join(self.folder, "pgbouncer.ini")
        self.text = SETTINGS.format(host=asked["host"], port=asked["port"], user=parts.username,
                                    folder=self.folder, own_port=PORT, servers=servers)
        self.dsn = (f"postgresql://{parts.username}@{parts.path}"
                    f"?host={self.folder}&port={PORT}")
        # It refuses to be root, as the servers do: it runs as they do.
        self.owner = os.stat(asked["host"])
        self.process = None

    @property
    def pid(self):
        return self.process.pid

    def __enter__(self):
        os.makedirs(self.folder)
        with open(self.file, "w", encoding="utf-8") as file:
            file.write(self.text)
        # Debian puts it where only root's PATH leads.
        command = [shutil.which("pgbouncer") or "/usr/sbin/pgbouncer", "-q", self.file]
        if os.geteuid() == 0:
            os.chown(self.folder, self.owner.st_uid, self.owner.st_gid)
            command = ["setpriv", "--reuid", str(self.owner.st_uid), "--regid",
                       str(self.owner.st_gid), "--clear-groups", "--", *command]
        self.process = self.world.spawn(command, stdin=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        psql = os.path.join(self.world.programs, "psql")
        for _ in range(100):
            try:
                run([psql, "-XAtqc", "SELECT 1", self.dsn])
                return self
            except BenchError:
                if self.process.poll() is not None:
                    raise
                time.sleep(0.1)
        raise BenchError("PgBouncer does not answer")

    def __exit__(self, *_):
        end(self.process, 10)
        shutil.rmtree(self.folder, ignore_errors=True)
