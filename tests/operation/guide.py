"""Guides, to the letter: every command in docs/recipes.md is run, in order,
against a server, and what the guide says comes of it is compared; every piece
of YAML in it is a recipe, or a part of one, that is taken."""
import os
import re
import shutil
import subprocess

from world import BIN, HOST, Server, check

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
COMMAND_SECONDS = 20


def blocks(path):
    """(language, text, line) of each fenced block."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    for found in re.finditer(r"^```(\w*)\n(.*?)^```$", text,
                             re.MULTILINE | re.DOTALL):
        yield (found.group(1), found.group(2),
               text.count("\n", 0, found.start()) + 1)


def masked(text):
    """Times, revisions and ids differ from run to run, and so do widths."""
    text = re.sub(r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "TIME", text)
    text = re.sub(r"\b\d+(\.\d+)*\b", "N", text)
    return [re.sub(r"\s+", " ", line).strip() for line in text.splitlines()
            if line.strip()]


class Reader:
    """Somebody who reads the guide, in a folder of their own."""

    def __init__(self, folder, server):
        self.folder = os.path.join(folder, "reader")
        self.server = server
        os.mkdir(self.folder)
        os.symlink(os.path.abspath(BIN), os.path.join(self.folder, "bin"))
        shutil.copytree(os.path.join(TOP, "recipes"),
                        os.path.join(self.folder, "recipes"))
        self.env = {name: value for name, value in os.environ.items()
                    if not name.startswith(("ETCD", "ETCHED"))}
        self.env["ETCDCTL_ENDPOINTS"] = server.url

    def run(self, text):
        text = text.replace("127.0.0.1:2379", f"{HOST}:{self.server.client_port}")
        # The server of these tests may be far slower than a person's.
        text = re.sub(r"^sleep [0-9.]+$", "sleep 2", text, flags=re.MULTILINE)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text], cwd=self.folder,
            env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=COMMAND_SECONDS, check=False)
        return done.returncode, done.stdout.decode("utf-8", "replace")


def as_recipe(text):
    """A part of a recipe, made one."""
    if text.startswith("if:"):
        return "name: part\n" + text + "then:\n  - log: x\n"
    if text.startswith("then:"):
        return "name: part\nif:\n  - manual: true\n" + text
    return text


def check_yaml(reader, text, line):
    with open(os.path.join(reader.folder, "part.yaml"), "w",
              encoding="utf-8") as file:
        file.write(as_recipe(text))
    status, out = reader.run("bin/etchctl recipe test -f part.yaml")
    check(status == 0, f"line {line}: {out}")


def recipes_guide(folder):
    key = os.path.join(folder, "recipes.key")
    with open(key, "w", encoding="ascii") as file:
        file.write("5a" * 32 + "\n")
    os.chmod(key, 0o600)
    with Server(folder, "--recipes-secret-key-file=" + key,
                "--recipes-allow-local") as server:
        reader = Reader(folder, server)
        said = None
        count = 0
        for language, text, line in blocks(
                os.path.join(TOP, "docs", "recipes.md")):
            if language == "sh":
                status, said = reader.run(text)
                check(status == 0, f"line {line}: exit code {status}: {said}")
                count += 1
            elif language == "text":
                check(masked(said) == masked(text),
                      f"line {line}: the guide has\n{text}, and what came is\n"
                      f"{said}")
            elif language == "yaml":
                check_yaml(reader, text, line)
        check(count >= 10, f"{count} blocks of commands were found")


STORIES = [
    ("guide: docs/recipes.md, to the letter", recipes_guide),
]
