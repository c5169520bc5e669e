"""What the scripts of tests/security share: stories, told one after another,
each in a folder of its own; servers and clients are tests/operation's."""
import os
import shutil
import signal
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(TOP, "tests", "operation"))
sys.dont_write_bytecode = True

from world import Failure, Skip  # noqa: E402

STORY_SECONDS = 60


def too_late(_number, _frame):
    raise Failure(f"took longer than {STORY_SECONDS} s")


def tell(name, story):
    """True unless it failed."""
    folder = tempfile.mkdtemp(prefix="etched-security-")
    os.chmod(folder, 0o755)
    signal.alarm(STORY_SECONDS)
    try:
        story(folder)
        print(f"ok {name}", flush=True)
    except Skip as skip:
        print(f"ok {name} # SKIP {skip}", flush=True)
    except Failure as failure:
        print(f"not ok {name}: {failure}", flush=True)
        return False
    except Exception as error:  # a broken story is a failure with a name
        print(f"not ok {name}: {type(error).__name__}: {error}", flush=True)
        return False
    finally:
        signal.alarm(0)
        shutil.rmtree(folder, ignore_errors=True)
    return True


def tell_all(stories):
    """`stories`: functions; what one is about is the first line of what it
    says of itself. Arguments: words, of which a story's line has one."""
    words = sys.argv[1:]
    signal.signal(signal.SIGALRM, too_late)
    failed = 0
    for story in stories:
        name = " ".join(story.__doc__.split())
        if not words or any(word in name for word in words):
            failed += not tell(name, story)
    sys.exit(1 if failed else 0)
