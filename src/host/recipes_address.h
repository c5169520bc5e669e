/* Addresses that recipes don't send to, unless --recipes-allow-local: this
 * machine's own, its link's, and those where clouds hand out a machine's
 * credentials. Who may write a recipe could else reach what listens there
 * because only this machine can. */
#ifndef ETCHED_HOST_RECIPES_ADDRESS_H
#define ETCHED_HOST_RECIPES_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

/* What is neither IPv4 nor IPv6 is local too. */
bool recipes_address_is_local(const struct sockaddr *address);

#endif
