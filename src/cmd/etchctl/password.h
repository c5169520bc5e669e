/* Asks for a password at the terminal, without showing what is typed. */
#ifndef ETCHED_CMD_ETCHCTL_PASSWORD_H
#define ETCHED_CMD_ETCHCTL_PASSWORD_H

/* From the terminal where there is one, else a line of stdin. "" when there
 * is nothing.
 * Owns: the caller, who gives it back to password_free. */
char *password_ask(const char *prompt);
/* Overwrites it before its memory goes. NULL is fine. */
void password_free(char *password);

#endif
