/* The simulator: a cluster and its faults from a seed, as often as wanted. */
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/plant.h"
#include "base/version.h"
#include "host/clock_posix.h"
#include "sim/sim.h"

enum {
    EXIT_USAGE = 2,
    MMAP_BYTES = 1024 * 1024,
    TRIM_BYTES = 256 * 1024 * 1024,
    JOBS_MAX = 64,
    STORY_EVENTS = 80,
    SEED_SECONDS_MAX = 120, /* one seed takes a small part of a second */
};

struct args {
    struct sim_options options;
    uint64_t seeds;
    uint64_t jobs;
    uint64_t story;
    uint64_t real_seconds; /* 0: no bound */
    bool quiet;
    bool keep_going;
    enum plant bug;
};

/* What one process has come to; in memory that the first one sees. */
struct total {
    uint64_t seeds;
    uint64_t failed;
    int64_t simulated_ns;
    uint64_t counts[SIM_COUNT_COUNT];
};

/* What runs, for those who end it in the middle. */
static struct {
    const struct args *args;
    struct sim *sim;
    uint64_t seed;
} now;

/* ---- words --------------------------------------------------------------- */

static const char *const bug_names[] = {[PLANT_NONE] = "none",
#define X(name, text) [PLANT_##name] = #name,
                                        PLANT_TABLE(X)
#undef X
};
static const char *const bug_texts[] = {[PLANT_NONE] = "",
#define X(name, text) [PLANT_##name] = text,
                                        PLANT_TABLE(X)
#undef X
};

static void usage(FILE *out)
{
    fprintf(
        out,
        "usage: sim [OPTION...]\n"
        "  --seed N        the first seed (1)\n"
        "  --seeds N       how many, one after the other (1)\n"
        "  --jobs N        in so many processes (1)\n"
        "  --time SECONDS  no new seed after so long\n"
        "  --members 1..7  members at the beginning (by the seed)\n"
        "  --seconds N     simulated, with faults (by the seed)\n"
        "  --workers 0..4  that do recipes (by the seed)\n"
        "  --steps N       events of one seed, at most\n"
        "  --keep-going    other seeds follow one that failed\n"
        "  --trace         every event, as it happens\n"
        "  --story N       events told of a seed that failed (%d)\n"
        "  --quiet         only failures and the sum\n"
        "  --bug NAME      with this planted bug (of a build that has them)\n"
        "  --list-bugs     their names\n",
        STORY_EVENTS);
}

static int list_bugs(void)
{
    for (int i = PLANT_NONE + 1; i < PLANT_COUNT; i++)
        printf("%-20s %s\n", bug_names[i], bug_texts[i]);
    return EXIT_SUCCESS;
}

static void print_line(void *context, struct slice line)
{
    fprintf(context, "%.*s\n", (int)line.size, line.at);
}

/* The commit that this is built of, where there is a repository. */
static void commit(char out[64])
{
    FILE *git = popen("git rev-parse --short=12 HEAD 2>/dev/null", "r");
    out[0] = 0;
    if (git == NULL || fgets(out, 64, git) == NULL)
        snprintf(out, 64, "version %s", ETCHED_VERSION);
    if (git)
        (void)pclose(git);
    out[strcspn(out, "\n")] = 0;
}

static void tell_how_to_repeat(void)
{
    const struct args *args = now.args;
    char name[64];
    commit(name);
    printf("repeat: bin/sim --seed %" PRIu64, now.seed);
    if (args->options.members)
        printf(" --members %d", args->options.members);
    if (args->options.seconds)
        printf(" --seconds %d", args->options.seconds);
    if (args->options.workers >= 0)
        printf(" --workers %d", args->options.workers);
    if (args->bug != PLANT_NONE)
        printf(" --bug %s", bug_names[args->bug]);
    printf("   (commit %s)\n", name);
    (void)fflush(stdout);
}

static void tell_story(const char *why)
{
    printf("seed %" PRIu64 ": FAILED: %s\n", now.seed, why);
    if (now.args->options.on_line == NULL && now.sim)
        sim_story(now.sim, now.args->story, print_line, stdout);
    tell_how_to_repeat();
}

/* A failed CHECK has nothing to lose any more; nor has a seed that hangs. */
static void on_signal(int number)
{
    (void)signal(SIGABRT, SIG_DFL);
    tell_story(number == SIGALRM ? "it hangs" : "it aborts");
    (void)fflush(stdout);
    if (number != SIGABRT)
        abort();
}

/* ---- arguments ----------------------------------------------------------- */

static bool get_number(const char *text, uint64_t least, uint64_t most,
                       uint64_t *out)
{
    return text && slice_to_u64(slice_str(text), out) && *out >= least &&
           *out <= most;
}

static bool get_bug(const char *text, enum plant *out)
{
    for (int i = PLANT_NONE + 1; text && i < PLANT_COUNT; i++) {
        if (strcmp(text, bug_names[i]) == 0) {
            *out = (enum plant)i;
            return true;
        }
    }
    return false;
}

/* 2: this one and its value were taken; 1: this one; 0: it makes no sense. */
static int take_arg(struct args *args, const char *name, const char *value)
{
    uint64_t number = 0;
    if (strcmp(name, "--quiet") == 0) {
        args->quiet = true;
        return 1;
    }
    if (strcmp(name, "--keep-going") == 0) {
        args->keep_going = true;
        return 1;
    }
    if (strcmp(name, "--trace") == 0) {
        args->options.on_line = print_line;
        args->options.context = stdout;
        return 1;
    }
    if (strcmp(name, "--bug") == 0)
        return get_bug(value, &args->bug) ? 2 : 0;
    if (!get_number(value, 0, UINT64_MAX / 100, &number))
        return 0;
    if (strcmp(name, "--seed") == 0)
        args->options.seed = number;
    else if (strcmp(name, "--seeds") == 0)
        args->seeds = number;
    else if (strcmp(name, "--jobs") == 0 && number >= 1 && number <= JOBS_MAX)
        args->jobs = number;
    else if (strcmp(name, "--time") == 0)
        args->real_seconds = number;
    else if (strcmp(name, "--members") == 0 && number <= SIM_MEMBERS_MAX)
        args->options.members = (int)number;
    else if (strcmp(name, "--seconds") == 0 && number <= 100000)
        args->options.seconds = (int)number;
    else if (strcmp(name, "--workers") == 0 && number <= SIM_WORKERS_MAX)
        args->options.workers = (int)number;
    else if (strcmp(name, "--steps") == 0)
        args->options.steps = number;
    else if (strcmp(name, "--story") == 0)
        args->story = number;
    else
        return 0;
    return 2;
}

static bool take_args(struct args *args, int argc, char **argv)
{
    for (int i = 1; i < argc;) {
        int taken = take_arg(args, argv[i], i + 1 < argc ? argv[i + 1] : NULL);
        if (taken == 0) {
            fprintf(stderr, "sim: %s: not understood\n", argv[i]);
            usage(stderr);
            return false;
        }
        i += taken;
    }
    return true;
}

/* ---- seeds --------------------------------------------------------------- */

static int64_t real_ns(void)
{
    return clock_monotonic_ns(clock_posix());
}

static bool run_seed(const struct args *args, uint64_t seed,
                     struct total *total)
{
    struct sim_options options = args->options;
    struct sim_result result;
    options.seed = seed;
    now.seed = seed;
    (void)alarm(SEED_SECONDS_MAX);
    now.sim = sim_new(&options);
    sim_run(now.sim, &result);
    if (result.failed)
        tell_story(result.why);
    sim_free(now.sim);
    now.sim = NULL;
    total->seeds++;
    total->failed += result.failed;
    total->simulated_ns += result.simulated_ns;
    for (int i = 0; i < SIM_COUNT_COUNT; i++)
        total->counts[i] += result.counts[i];
    if (!args->quiet && !result.failed)
        printf("seed %" PRIu64 ": good: %.1f s, %" PRIu64
               " events, digest %016" PRIx64 "\n",
               seed, (double)result.simulated_ns / 1e9,
               result.counts[SIM_COUNT_EVENTS], result.digest);
    return !result.failed;
}

/* Every `jobs`-th seed. */
static void run_job(const struct args *args, uint64_t job, struct total *total)
{
    int64_t end_ns = INT64_MAX;
    if (args->real_seconds)
        end_ns = real_ns() + (int64_t)args->real_seconds * 1000000000;
    now.args = args;
    (void)signal(SIGABRT, on_signal);
    (void)signal(SIGSEGV, on_signal);
    (void)signal(SIGALRM, on_signal);
    for (uint64_t i = job; i < args->seeds && real_ns() < end_ns;
         i += args->jobs)
        if (!run_seed(args, args->options.seed + i, total) && !args->keep_going)
            break;
    (void)fflush(stdout);
}

static void add_up(struct total *sum, const struct total *total)
{
    sum->seeds += total->seeds;
    sum->failed += total->failed;
    sum->simulated_ns += total->simulated_ns;
    for (int i = 0; i < SIM_COUNT_COUNT; i++)
        sum->counts[i] += total->counts[i];
}

static void print_sum(const struct args *args, const struct total *sum,
                      int64_t began_ns)
{
    double seconds = (double)(real_ns() - began_ns) / 1e9;
    if (!args->quiet || args->seeds > 1)
        for (int i = 0; i < SIM_COUNT_COUNT; i++)
            printf("%14" PRIu64 "  %s\n", sum->counts[i],
                   sim_count_text((enum sim_count)i));
    printf("sim: %" PRIu64 " seeds, %" PRIu64
           " failed, %.2f simulated hours in %.1f s (%.1f ms a seed)\n",
           sum->seeds, sum->failed, (double)sum->simulated_ns / 3.6e12, seconds,
           sum->seeds ? seconds * 1000 * (double)args->jobs / (double)sum->seeds
                      : 0);
}

static int run(const struct args *args)
{
    size_t bytes = args->jobs * sizeof(struct total);
    int64_t began_ns = real_ns();
    struct total sum = {0};
    bool ended = true;
    struct total *totals = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                                MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (totals == MAP_FAILED) {
        perror("sim");
        return EXIT_FAILURE;
    }
    pid_t pids[JOBS_MAX] = {0};
    for (uint64_t job = 1; job < args->jobs; job++) {
        (void)fflush(stdout);
        pids[job] = fork();
        if (pids[job] == 0) {
            run_job(args, job, &totals[job]);
            _exit(EXIT_SUCCESS);
        }
        ended = ended && pids[job] > 0;
    }
    run_job(args, 0, &totals[0]);
    for (uint64_t job = 1; job < args->jobs; job++) {
        int status = 0;
        if (pids[job] > 0 && waitpid(pids[job], &status, 0) == pids[job])
            ended = ended && status == 0;
    }
    for (uint64_t job = 0; job < args->jobs; job++)
        add_up(&sum, &totals[job]);
    print_sum(args, &sum, began_ns);
    (void)munmap(totals, bytes);
    return ended && sum.failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    struct args args = {
        .options = {.seed = 1, .workers = -1},
        .seeds = 1,
        .jobs = 1,
        .story = STORY_EVENTS,
    };
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        usage(stdout);
        return EXIT_SUCCESS;
    }
    if (argc == 2 && strcmp(argv[1], "--list-bugs") == 0)
        return list_bugs();
    if (!take_args(&args, argc, argv))
        return EXIT_USAGE;
    /* Each start of a member takes a large ring of which little is used: from
     * the system, untouched, and not from what another one gave back. */
    (void)mallopt(M_MMAP_THRESHOLD, MMAP_BYTES);
    (void)mallopt(M_TRIM_THRESHOLD, TRIM_BYTES);
    log_setup(LOG_TEXT, NULL, NULL, NULL);
    log_set_level(LOG_ERROR);
#ifdef ETCHED_PLANTED
    plant_active = args.bug;
#else
    if (args.bug != PLANT_NONE) {
        fprintf(stderr, "sim: this build has no planted bugs: "
                        "tools/build gcc planted makes one that has\n");
        return EXIT_USAGE;
    }
#endif
    return run(&args);
}
