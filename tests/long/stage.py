"""Servers with Highwater in front, for the scripts of this folder.

`Servers` are a primary and two replicas (servers.rs); `Proxy` is `highwater run` with a configuration
of its own. Both end with their `with`.
"""
import json
import os
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60


def build():
    """The folder of the built programs; `HIGHWATER_PROGRAMS` names one where they are built already."""
    if built := os.environ.get("HIGHWATER_PROGRAMS"):
        return Path(built).resolve()
    subprocess.run(
        ["cargo", "build", "--quiet", "--bins", "--example", "servers"], cwd=ROOT, check=True
    )
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve() / "debug"


class Servers:
    """A primary and its replicas, running."""

    def __init__(self, programs, engine="mysql", options=("local-infile=ON",)):
        self.process = subprocess.Popen(
            [programs / "examples/servers", engine, *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the servers did not start")
        self.told = json.loads(line)
        self.primary = self.told["primary"]
        self.root = self.told["root"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()

    def sync(self):
        """Waits until the replicas have all that the primary has."""
        self.process.stdin.write("sync\n")
        self.process.stdin.flush()
        if self.process.stdout.readline() != "synced\n":
            raise RuntimeError("the replicas do not follow")

    def tool(self, name, at=None):
        """The words that begin a command line of a client program."""
        at = at or self.primary
        return [
            *self.told["tools"][name],
            f"--host={at['host']}",
            f"--port={at['port']}",
            f"--user={self.root['user']}",
            f"--password={self.root['password']}",
        ]

    def sql(self, text, at=None):
        """Runs statements with the stock client; its output without column names."""
        done = subprocess.run(
            [*self.tool("mysql", at), "--batch", "--skip-column-names"],
            input=text,
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        return done.stdout


class Proxy:
    """Highwater in front of these servers. `users` are names with their passwords."""

    def __init__(self, programs, servers, folder, users=(), mode="session", level="session"):
        self.address = {"host": "127.0.0.1", "port": free_port()}
        self.http = f"127.0.0.1:{free_port()}"
        users = [(servers.root["user"], servers.root["password"]), *users]
        config = Path(folder) / "highwater.toml"
        config.write_text(configuration(self, servers, users, mode, level))
        self.log = open(Path(folder) / "highwater.log", "w")
        passwords = {f"PASSWORD_{n}": password for n, (_, password) in enumerate(users)}
        passwords["HIGHWATER_MONITOR_PASSWORD"] = servers.told["monitor"]["password"]
        self.process = subprocess.Popen(
            [programs / "highwater", "run", "--config", config],
            stdout=self.log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **passwords},
        )
        try:
            self.wait_ready(1 + len(servers.told["replicas"]))
        except RuntimeError:
            self.__exit__()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.log.close()

    def wait_ready(self, servers):
        """Waits until every server is in use."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            up = [value for name, value in self.metrics() if name.startswith("backend_up{")]
            if len(up) == servers and all(up):
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise RuntimeError(f"Highwater does not start: see {self.log.name}")

    def metrics(self):
        """Every metric of Highwater as (name with labels, value)."""
        try:
            with urllib.request.urlopen(f"http://{self.http}/metrics") as page:
                lines = page.read().decode().splitlines()
        except OSError:
            return []
        pairs = (line.rsplit(" ", 1) for line in lines if line.startswith("highwater_"))
        return [(name.removeprefix("highwater_"), float(value)) for name, value in pairs]

    def counted(self, name, *labels):
        """The sum of a metric over all that have these labels, written `key="value"`."""
        return int(
            sum(
                value
                for line, value in self.metrics()
                if line.startswith(name + "{") and all(label in line for label in labels)
            )
        )

    def pins(self):
        """How often a session kept its connection, by reason."""
        pairs = [pair for pair in self.metrics() if pair[0].startswith("pins_total{")]
        return {name.split('"')[1]: int(value) for name, value in pairs if value}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def configuration(proxy, servers, users, mode, level):
    address = "{host}:{port}".format
    lines = [
        "[proxy]",
        f'listen = "{address(**proxy.address)}"',
        "[http]",
        f'listen = "{proxy.http}"',
        "[admin]",
        'listen = "127.0.0.1:0"',
        "[consistency]",
        f'level = "{level}"',
        "[cluster]",
        f'primary = "{address(**servers.primary)}"',
        f"replicas = {json.dumps([address(**replica) for replica in servers.told['replicas']])}",
        "[monitor]",
        f'user = "{servers.told["monitor"]["user"]}"',
        "[pool]",
        "acquire_timeout = \"30s\"",
        f'mode = "{mode}"',
    ]
    for number, (name, _) in enumerate(users):
        lines += ["[[user]]", f"name = {json.dumps(name)}", f'password_env = "PASSWORD_{number}"']
    return "\n".join(lines) + "\n"
