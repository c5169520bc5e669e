"""Why, and what would have been: explain of a hundred random events says what
took place, and a backtest of the running version over the past gives the runs
that there were."""
import random
import time

from service import (Server, apply, check, delete, equal, kvs, put, rest,
                     slowness, wait_for)

RECIPES = {
    "edge": """name: edge
if:
  - key: /x/{a}
    crosses: {of: value, above: 60, reset: 30}
where: ["!exists('/mute')"]
then:
  - put: {key: 'fx/edge/{{event.revision}}', value: '{{a}}'}
""",
    "changes": """name: changes
if:
  - key: /x/{a}
    changed: value % 3
    events: [create, update]
  - key: /y/{a}
    events: [delete]
then:
  - put: {key: 'fx/changes/{{event.revision}}', value: '{{a}}'}
""",
    "seldom": """name: seldom
if: [{key: '/x/{a}'}]
where:
  - "value > 20"
  - "count('/y/') % 2 == 0"
throttle: {count: 15, per: 1h}
then:
  - put: {key: 'fx/seldom/{{event.revision}}', value: '{{a}}'}
""",
}


def write(server, count, seed):
    """Random events; their revisions."""
    rng = random.Random(seed)
    revisions = []
    while len(revisions) < count:
        key = f"/{rng.choice('xxxy')}/{rng.randrange(5)}"
        roll = rng.random()
        if roll < 0.02:
            put(server, "/mute", "x")
        elif roll < 0.1:
            delete(server, "/mute")
        elif roll < 0.2:
            before = put(server, key, "50")  # so that there is something
            revisions += [before, delete(server, key)]
        else:
            revisions.append(put(server, key, str(rng.randrange(100))))
    return revisions


def runs_of(server, name):
    """The ids of all that ran, by the revisions of their events."""
    found, after = {}, ""
    while True:
        answer = rest(server, "GET", f"runs?recipe={name}&limit=100{after}")
        equal(answer.status, 200, f"runs of {name}: {answer}")
        page = answer.json()
        for run in page["runs"]:
            check(run["id"] not in found, f"{run['id']} is listed twice")
            found[run["id"]] = run["revision"]
        if not page.get("next"):
            return found
        after = "&after=" + page["next"]


def wait_quiet(server):
    """Until nothing comes any more."""
    before, since = None, 0
    while before is None or time.monotonic() < since + 1:
        now = set(kvs(server, "fx/", keys_only=True))
        if now != before:
            before, since = now, time.monotonic()
        time.sleep(0.05)


def wait_at_work(server):
    """Until somebody has taken the recipes up again, and has no arrears."""
    def is_at_work():
        at = [put(server, "/x/probe", value) for value in ("1", "2")]
        time.sleep(0.2)
        return f"fx/changes/{at[1]}" in kvs(server, "fx/changes/")
    wait_for(is_at_work, "it works again", 20 * slowness())
    wait_quiet(server)


def explain_agrees(folder, seed=1):
    """explain of a hundred random events agrees with what happened"""
    with Server(folder) as server:
        for text in RECIPES.values():
            apply(server, text)
        put(server, "/y/0", "x")
        revisions = write(server, 100, seed)
        wait_quiet(server)
        for name in RECIPES:
            effects = {int(key.split("/")[2])
                       for key in kvs(server, f"fx/{name}/")}
            equal(set(runs_of(server, name).values()), effects,
                  f"runs of {name}")
            check(1 < len(effects) < 80, f"{name} ran {len(effects)} times: "
                  "this shows nothing")
            for revision in revisions:
                check_one(server, name, revision, revision in effects)
    return len(revisions), len(RECIPES)


def check_one(server, name, revision, has_fired):
    answer = rest(server, "GET", f"explain?recipe={name}&revision={revision}")
    told = answer.json()
    equal(answer.status, 200, f"explain of {name} at {revision}")
    accounts = told["accounts"]
    fired = [one for one in accounts if one["outcome"] == "fired"]
    equal(len(fired), int(has_fired),
          f"{name} at {revision} {'has' if has_fired else 'has not'} fired, "
          f"and explain says {[one['outcome'] for one in accounts]}")
    for one in accounts:
        check(one["outcome"], f"no outcome of {name} at {revision}")
        if one["outcome"] == "fired":
            wrong = [c for c in one["checks"] if not c["result"]]
            check(not wrong, f"{name} has fired at {revision}, though {wrong}")


def backtest_agrees(folder, seed=2):
    """a backtest of the running version gives the runs that there were"""
    with Server(folder, "--recipes-lease-ttl=2s") as server:
        for text in RECIPES.values():
            apply(server, text)
        put(server, "/y/0", "x")
        first = put(server, "/y/1", "x")
        # A kill in between changes nothing.
        write(server, 60, seed)
        server.kill()
        server.start()
        wait_at_work(server)
        last = write(server, 60, seed + 1)[-1]
        wait_quiet(server)
        for name in RECIPES:
            check_backtest(server, name, first, last)


def check_backtest(server, name, first, last):
    answer = rest(server, "POST", "backtest", {"recipe": name, "from": first,
                                               "to": last})
    equal(answer.status, 200, f"backtest of {name}: {answer}")
    told = answer.json()
    difference = told["difference"]
    runs = {run: at for run, at in runs_of(server, name).items()
            if first <= at <= last}
    equal(difference["only_draft"], [], f"runs of {name} that were not")
    equal(difference["only_past"], [], f"runs of {name} that are not found")
    equal(sorted(difference["both"]), sorted(runs), f"runs of {name}")
    equal({run["id"] for run in told["would"]["runs"]}, set(runs),
          f"runs of {name}, in full")
    effects = {key: value.decode()
               for key, (value, *_) in kvs(server, f"fx/{name}/").items()}
    would = {effect["put"]: effect["value"]
             for effect in told["would"]["effects"]}
    equal(would, effects, f"effects of {name}")
    # A draft is another recipe: of it something is new, or is no more.
    draft = RECIPES[name].replace("above: 60", "above: 90") \
        .replace("value % 3", "value % 2").replace("value > 20", "value > 80")
    answer = rest(server, "POST", "backtest", {"recipe": draft, "from": first,
                                               "to": last})
    equal(answer.status, 200, f"backtest of a draft of {name}: {answer}")
    other = answer.json()["difference"]
    check(other["only_draft"] or other["only_past"],
          f"a draft of {name} does the same")


STORIES = [explain_agrees, backtest_agrees]
