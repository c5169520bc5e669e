#!/usr/bin/env python3
"""bin/sim from the outside: what it understands, prints and returns."""
import os
import re
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
SIM = os.path.join(os.environ.get("ETCHED_BIN", os.path.join(TOP, "bin")),
                   "sim")
failures = []


def sim(*arguments):
    return subprocess.run([SIM] + list(arguments), cwd=TOP,
                          capture_output=True, text=True, check=False,
                          timeout=120)


def check(name, good, told=""):
    print("%s %s" % ("ok" if good else "not ok", name))
    if not good:
        failures.append(name)
        print(told)


def test_help():
    done = sim("--help")
    check("help names each option", done.returncode == 0 and all(
        option in done.stdout for option in
        ("--seed", "--seeds", "--jobs", "--time", "--members", "--seconds",
         "--workers", "--steps", "--keep-going", "--trace", "--story", "--quiet", "--bug",
         "--list-bugs")), done.stdout)


def test_bad_usage():
    for arguments in (["--nonsense"], ["--seed"], ["--seed", "x"],
                      ["--seed", "-1"], ["--members", "8"], ["--jobs", "0"],
                      ["--workers", "5"],
                      ["--bug", "NO_SUCH_BUG"], ["--bug"], ["17"]):
        done = sim(*arguments)
        check("refuses " + " ".join(arguments),
              done.returncode == 2 and "not understood" in done.stderr and
              "usage:" in done.stderr, done.stdout + done.stderr)


def test_bugs():
    done = sim("--list-bugs")
    bugs = [line.split()[0] for line in done.stdout.splitlines()]
    check("lists at least twelve bugs",
          done.returncode == 0 and len(bugs) >= 12, done.stdout)
    done = sim("--bug", bugs[0])
    check("has none of them", done.returncode == 2 and
          "no planted bugs" in done.stderr, done.stdout + done.stderr)


def digest(done):
    found = re.search(r"^seed (\d+): good: [\d.]+ s, \d+ events, "
                      r"digest ([0-9a-f]{16})$", done.stdout, re.MULTILINE)
    return found.groups() if found else None


def test_one_seed():
    first = sim("--seed", "7", "--seconds", "5")
    again = sim("--seed", "7", "--seconds", "5")
    other = sim("--seed", "8", "--seconds", "5")
    check("a seed is good", first.returncode == 0 and
          digest(first) is not None and digest(first)[0] == "7",
          first.stdout)
    check("the same seed is the same run", digest(first) == digest(again))
    check("another seed is another run", digest(first) != digest(other))
    check("the sum is told", re.search(
        r"^sim: 1 seeds, 0 failed, [\d.]+ simulated hours in", first.stdout,
        re.MULTILINE) is not None, first.stdout)


def test_many_seeds():
    alone = sim("--seed", "100", "--seeds", "12", "--seconds", "4", "--quiet")
    shared = sim("--seed", "100", "--seeds", "12", "--seconds", "4", "--quiet",
                 "--jobs", "3")
    check("many seeds are good", alone.returncode == 0 and
          "sim: 12 seeds, 0 failed" in alone.stdout, alone.stdout)
    check("quiet is quiet", "seed 100" not in alone.stdout, alone.stdout)
    # What was counted is the same, however it was shared out.
    check("in several processes too", shared.returncode == 0 and
          alone.stdout.split("sim:")[0] == shared.stdout.split("sim:")[0],
          alone.stdout + shared.stdout)


def test_time_is_bounded():
    done = sim("--seeds", "1000000", "--time", "1", "--quiet")
    seeds = re.search(r"^sim: (\d+) seeds, 0 failed", done.stdout,
                      re.MULTILINE)
    check("no new seed after the time", done.returncode == 0 and seeds and
          0 < int(seeds.group(1)) < 100000, done.stdout)


def test_trace():
    done = sim("--seed", "3", "--members", "3", "--seconds", "2", "--trace")
    lines = [line for line in done.stdout.splitlines()
             if re.match(r"^ *\d+\.\d{6} ", line)]
    check("every event is a line", done.returncode == 0 and len(lines) > 50,
          done.stdout[-2000:])
    check("lines are aligned", all(re.match(
        r"^ *\d{1,6}\.\d{6} (-|[mw]\d+) {1,4}\S", line) and
        len(line.split(".")[0]) == 6 for line in lines))
    check("the first and the last", "the world begins" in lines[0] and
          "the world ends" in lines[-1], done.stdout[-500:])
    times = [float(line.split()[0]) for line in lines]
    check("time goes on", times == sorted(times))


def test_workers():
    done = sim("--seed", "1", "--workers", "2", "--seconds", "5")
    effects = re.search(r"^ +(\d+)  recipe effects$", done.stdout,
                        re.MULTILINE)
    check("recipes are done, if it is asked for", done.returncode == 0 and
          effects and int(effects.group(1)) > 20, done.stdout)


def test_steps():
    done = sim("--seed", "3", "--steps", "150")
    check("so many steps and no more", done.returncode == 0 and
          re.search(r"^ +150  events$", done.stdout, re.MULTILINE),
          done.stdout)


def main():
    for test in (test_help, test_bad_usage, test_bugs, test_one_seed,
                 test_many_seeds, test_time_is_bounded, test_trace,
                 test_workers, test_steps):
        test()
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
