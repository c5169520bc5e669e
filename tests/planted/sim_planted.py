#!/usr/bin/env python3
"""The simulator must find the bugs that were planted for it.

A build with all of them (src/base/plant.h) runs seeds with one of them awake
until a checker objects; a bug that none finds is a failure, and so is a seed
that fails with all of them asleep.

PLANTED_SECONDS   for each bug, at most (8; in `make ci` more)
"""
import os
import re
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
SIM = os.path.join(TOP, "build", "gcc-planted", "sim")
SECONDS = int(os.environ.get("PLANTED_SECONDS", "8"))
SEEDS = 4000
CONTROL_SEEDS = 150

# Worlds in which a bug shows sooner, and why.
WORLDS = {}
# Recipes are done in some of the worlds only.
RECIPES = ["--workers", "3"]


def build():
    done = subprocess.run(["tools/build", "gcc", "planted", "sim"], cwd=TOP,
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(done.stdout[-4000:], done.stderr[-4000:], sep="\n")
        print("not ok build of the planted bugs")
        sys.exit(1)


def run(arguments, seconds):
    return subprocess.run(
        [SIM, "--quiet", "--story", "12", "--jobs", "2", "--time",
         str(seconds)] + arguments,
        cwd=TOP, capture_output=True, text=True, check=False,
        timeout=seconds + 150)


def list_bugs():
    text = subprocess.run([SIM, "--list-bugs"], cwd=TOP, capture_output=True,
                          text=True, check=True).stdout
    return [line.split()[0] for line in text.splitlines() if line]


def hunt(bug):
    world = RECIPES if bug.startswith("RECIPE_") else \
        ["--workers", "0"] + WORLDS.get(bug, [])
    done = run(["--bug", bug, "--seeds", str(SEEDS)] + world, SECONDS)
    found = re.search(r"^seed (\d+): FAILED: (.*)$", done.stdout, re.MULTILINE)
    if done.returncode != 0 and found:
        print("ok %s: seed %s: %s" % (bug, found.group(1), found.group(2)))
        return True
    print("not ok %s: nothing noticed in %d s" % (bug, SECONDS))
    return False


def control():
    done = run(["--seeds", str(CONTROL_SEEDS)], 60)
    if done.returncode == 0:
        print("ok nothing is found where there is no bug")
        return True
    print(done.stdout[-6000:], done.stderr[-2000:], sep="\n")
    print("not ok nothing is found where there is no bug")
    return False


def main():
    build()
    bugs = list_bugs()
    print("1..%d" % (len(bugs) + 1))
    good = control()
    for bug in bugs:
        good = hunt(bug) and good
        sys.stdout.flush()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
