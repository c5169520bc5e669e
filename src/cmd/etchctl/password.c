#include "cmd/etchctl/password.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/mem.h"

enum { PASSWORD_BYTES_MAX = 1024 };

/* Turns the echo off; false when it isn't a terminal. */
static bool hide(FILE *file, struct termios *saved)
{
    struct termios quiet;

    if (tcgetattr(fileno(file), saved) != 0)
        return false;
    quiet = *saved;
    quiet.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
    return tcsetattr(fileno(file), TCSAFLUSH, &quiet) == 0;
}

char *password_ask(const char *prompt)
{
    FILE *terminal = fopen("/dev/tty", "r+");
    FILE *from = terminal ? terminal : stdin;
    FILE *to = terminal ? terminal : stderr;
    char line[PASSWORD_BYTES_MAX] = "";
    struct termios saved;
    bool hidden;
    char *password;

    fputs(prompt, to);
    fflush(to);
    hidden = hide(from, &saved);
    if (!fgets(line, sizeof(line), from))
        line[0] = '\0';
    if (hidden)
        tcsetattr(fileno(from), TCSAFLUSH, &saved);
    fputc('\n', to);
    if (terminal)
        fclose(terminal);
    line[strcspn(line, "\r\n")] = '\0';
    password = mem_strdup(line);
    explicit_bzero(line, sizeof(line));
    return password;
}

void password_free(char *password)
{
    if (password)
        explicit_bzero(password, strlen(password));
    mem_free(password);
}
