"""The suites: how each is made ready in a folder, and run against one address.

A suite gives `users` and `sql` that its servers need, and two functions: `prepare(folder)`, once, on a
copy of the source; `run(folder, at, root, log)`, which gives {test: (outcome, words)}.
"""
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree
from dataclasses import dataclass
from pathlib import Path

# A single test file that takes longer than this has hung.
FILE_TIMEOUT = 180
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def call(words, folder, log, env=None, timeout=None):
    """Runs a command, its output in `log` as well; gives its exit status and output."""
    try:
        done = subprocess.run(
            [str(word) for word in words],
            cwd=folder,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
        )
        status, output = done.returncode, done.stdout
    except subprocess.TimeoutExpired as expired:
        status, output = "hung", expired.stdout or b""
    text = COLOURS.sub("", output.decode("utf-8", "replace"))
    log.write(f"$ {' '.join(str(word) for word in words)}\n{text}\n=> {status}\n")
    log.flush()
    return status, text


def must(words, folder, log):
    status, text = call(words, folder, log)
    if status != 0:
        raise RuntimeError(f"{' '.join(map(str, words))}: {text[-2000:]}")


class PyMySQL:
    """pytest's own report."""

    users = [("test2", "some password"), ("old_user", ""), ("auth_user", "")]
    sql = """
        CREATE DATABASE test1 DEFAULT CHARACTER SET utf8mb4;
        CREATE DATABASE test2 DEFAULT CHARACTER SET utf8mb4;
        CREATE USER test2@'%' IDENTIFIED BY 'some password';
        GRANT ALL ON test2.* TO test2@'%';
    """

    def prepare(self, folder, log):
        must([sys.executable, "-m", "venv", folder / "venv"], folder, log)
        pip = [folder / "venv/bin/python", "-m", "pip", "install", "--quiet"]
        must([*pip, "pytest", "cryptography", "PyNaCl"], folder, log)

    def run(self, folder, at, root, log):
        # No TLS on either side: what is compared is not how it is encrypted.
        first = {
            **at,
            "user": root["user"],
            "password": root["password"],
            "database": "test1",
            "use_unicode": True,
            "local_infile": True,
            "ssl_disabled": True,
        }
        second = {
            **at,
            "user": "test2",
            "password": "some password",
            "database": "test2",
            "ssl_disabled": True,
        }
        (folder / "pymysql/tests/databases.json").write_text(json.dumps([first, second]))
        report = folder / "report.xml"
        report.unlink(missing_ok=True)
        python = folder / "venv/bin/python"
        call([python, "-m", "pytest", "-q", f"--junitxml={report}", "pymysql"], folder, log)
        results = {}
        for case in xml.etree.ElementTree.parse(report).iter("testcase"):
            name = f"{case.get('classname')}::{case.get('name')}"
            parts = [part for part in case if part.tag in ("failure", "error", "skipped")]
            results[name] = (
                parts[0].tag if parts else "passed",
                " ".join((part.get("message") or "")[:500] for part in parts),
            )
        return results


class NodeMysql2:
    """Each test file is a program of its own; it prints a line for each assertion and case."""

    users = [
        ("changeuser1", "changeuser1pass"),
        ("changeuser2", "changeuser2pass"),
        ("pooluser1", "pooluser1pass"),
    ]
    sql = "CREATE DATABASE test;"

    def prepare(self, folder, log):
        if not (folder / "node_modules").is_dir():
            must(["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund"], folder, log)

    def run(self, folder, at, root, log):
        env = {
            "CI": "1",
            "MYSQL_HOST": at["host"],
            "MYSQL_PORT": str(at["port"]),
            "MYSQL_USER": root["user"],
            "MYSQL_PASSWORD": root["password"],
            "MYSQL_DATABASE": "test",
        }
        results = {}
        for file in sorted((folder / "test").rglob("*.test.mts")):
            name = str(file.relative_to(folder / "test"))
            if name == "common.test.mts" or name.startswith("tsc-build"):
                continue
            command = ["node", "--import", "tsx", file]
            status, text = call(command, folder, log, env, FILE_TIMEOUT)
            marks = {"✔": "passed", "●": "passed", "✘": "failed"}
            for line in text.splitlines():
                mark, _, case = line.strip().partition(" ")
                if mark in marks:
                    case = case.split(" › ")[0]
                    results[numbered(results, f"{name}: {case}")] = (marks[mark], "")
            results[name] = ("passed" if status == 0 else f"exit {status}", "")
        return results


class RubyMysql2:
    """RSpec's own report."""

    users = []
    sql = "CREATE DATABASE test; CREATE DATABASE mysql2_test;"

    def prepare(self, folder, log):
        build = folder / "ext/mysql2"
        must(["ruby", "extconf.rb"], build, log)
        must(["make"], build, log)
        (folder / "lib/mysql2/mysql2.so").write_bytes((build / "mysql2.so").read_bytes())
        # The suite sets the locale with a gem of one function.
        shim = folder / "shim"
        shim.mkdir(exist_ok=True)
        (shim / "clocale.rb").write_text(
            "require 'fiddle'\n"
            "module CLocale\n"
            "  LC_NUMERIC = 1\n"
            "  POINTER = Fiddle::TYPE_VOIDP\n"
            "  SET = Fiddle::Handle::DEFAULT['setlocale']\n"
            "  CALL = Fiddle::Function.new(SET, [Fiddle::TYPE_INT, POINTER], POINTER)\n"
            "  def self.setlocale(category, locale)\n"
            "    name = CALL.call(category, locale)\n"
            "    name.null? ? nil : name.to_s\n"
            "  end\n"
            "end\n"
        )

    def run(self, folder, at, root, log):
        server = {**at, "username": root["user"], "password": root["password"]}
        accounts = {"root": {**server, "database": "test"}, "user": {**server, "database": "mysql2_test"}}
        # What is JSON is YAML.
        (folder / "spec/configuration.yml").write_text(json.dumps(accounts))
        report = folder / "report.json"
        report.unlink(missing_ok=True)
        command = ["rspec", "-I", "shim", "-I", "lib", "-I", "spec", "--format", "json", "--out", report]
        call(command, folder, log, {"MYSQL2_SPEC_NO_LOCAL_SOCKET": "1"})
        results = {}
        for example in json.loads(report.read_text())["examples"]:
            words = (example.get("exception") or {}).get("message") or ""
            results[numbered(results, example["full_description"])] = (example["status"], words[:500])
        return results


class DbdMysql:
    """Each test file prints TAP. The driver is the machine's own: Debian's libdbd-mysql-perl."""

    users = []
    sql = "CREATE DATABASE test;"

    def prepare(self, folder, log):
        must(["perl", "-e", "use DBD::mysql"], folder, log)

    def run(self, folder, at, root, log):
        env = {
            "DBI_DSN": f"DBI:mysql:database=test;host={at['host']};port={at['port']}",
            "DBI_USER": root["user"],
            "DBI_PASS": root["password"],
            "CONNECTION_TESTING": "1",
            "EXTENDED_TESTING": "1",
        }
        results = {}
        for file in sorted((folder / "t").glob("*.t")):
            status, text = call(["perl", "-I.", "-Ilib", file], folder, log, env, FILE_TIMEOUT)
            for line in text.splitlines():
                if found := re.match(r"\s*(not )?ok (\d+)(.*)", line):
                    outcome = "failed" if found[1] else "passed"
                    # Times and numbers of one's own differ from run to run.
                    results[numbered(results, f"{file.name}: {found[2]}")] = (outcome, found[3].strip())
                elif line.startswith("1..0"):
                    results[f"{file.name}: skipped"] = ("skipped", "")
            results[file.name] = (f"exit {status}", "")
        return results


def numbered(results, name):
    """The name, with a number if it is taken."""
    count, unique = 1, name
    while unique in results:
        count += 1
        unique = f"{name} ({count})"
    return unique


@dataclass
class Known:
    """A suite by its name here, and the Debian source package that has it."""

    package: str | None
    suite: object


KNOWN = {
    "pymysql": Known("python-pymysql", PyMySQL()),
    "node-mysql2": Known(None, NodeMysql2()),
    "ruby-mysql2": Known("ruby-mysql2", RubyMysql2()),
    "dbd-mysql": Known("libdbd-mysql-perl", DbdMysql()),
}


def copied(source, folder):
    """A copy of a checkout, since suites write into their own folder."""
    folder = Path(folder)
    subprocess.run(["cp", "-a", f"{source}/.", folder], check=True)
    return folder
